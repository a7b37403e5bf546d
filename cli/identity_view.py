"""How identities, decisions and previews look in a terminal."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from rich.text import Text

from cli.render import counted, instant

VERDICTS: Final = {
    "together": "together",
    "parted": "apart: somebody decided so",
    "was_linked": "apart: the links between them were taken back",
    "never_linked": "apart: nothing that is remembered ever linked them",
}
OBSTACLES: Final = {
    "parted": "a decision keeps them apart: `allow` or `link` them",
    "shared_device": "one of them is a device that several persons use",
    "generic_value": "one of them was seen with too many user ids",
    "not_linking": "its type is declared not to link",
    "merges": "the profile would have too many merges",
    "identifiers": "the profile would have too many identifiers",
    "fragments": "the profile would have too many fragments",
}
Document = Mapping[str, Any]


def explanation_view(document: Document) -> Text:
    left, right = document["left"], document["right"]
    lines = [f"{_name(left)} and {_name(right)} are {VERDICTS[document['verdict']]}"]
    if document["verdict"] == "together":
        lines.append(f"in profile {left['profile_id']}, by")
    else:
        lines += [f"  {_name(each)} is in profile {each['profile_id']}" for each in (left, right)]
    lines += [f"  {_name(each['left'])} | {_name(each['right'])}: parted {instant(each['at'])} by decision "
              f"{each['decision_id']}" for each in document["parted"]]  # fmt: skip
    lines += _links(document["path"])
    obstacle = document["obstacle"]
    if obstacle:
        meaning = OBSTACLES.get(obstacle, f"together they would have more {obstacle} values than a profile may have")
        lines.append(f"An event that names both would not join them: {meaning}")
    return _text(lines, document)


def graph_view(document: Document) -> Text:
    then, now = document["profile_id"], document["profile_id_now"]
    lines = [f"profile {then} as of {instant(document['as_of'])}" + ("" if then == now else f", today {now}")]
    lines += [
        f"  {_name(each)}" + (f"  first seen {instant(each['first_seen_at'])}" if "first_seen_at" in each else "")
        for each in document["identifiers"]
    ]
    lines += [counted(len(document["links"]) + document["links_left_out"], "link"), *_links(document["links"])]
    return _text(lines, document)


def decision_view(document: Document) -> Text:
    tense = "would make" if document.get("dry_run") else "made"
    sides = " ".join(filter(None, (document["left"], document["right"])))
    lines = [
        f"{document['action']} {sides}",
        f"  decision {document['decision_id']} by {document['by']} at {instant(document['at'])}",
        *([f"  reason: {document['reason']}"] if document["reason"] else []),
        f"  {tense} {', '.join(document['after'])} of {', '.join(document['before'])}",
        f"  {counted(document['retracted'], 'link')} taken back",
    ]
    if document.get("dry_run"):
        lines.append("before")
        lines += _profiles(document["profiles_before"])
        lines.append("after")
        lines += _profiles(document["profiles_after"])
        lines.append("Nothing was written.")
    return Text("\n".join(lines))


def decisions_view(document: Document) -> Text:
    if not document["decisions"]:
        return Text("Nothing was decided.")
    lines = [
        f"{instant(each['at'])}  {each['action']:7}  {each['decision_id']}  {each['by']}  {each['reason']}".rstrip()
        for each in document["decisions"]
    ]
    if document["cursor"]["has_more"]:
        lines.append(f"and more: --next {document['cursor']['next']}")
    return Text("\n".join(lines))


def outcomes_view(document: Document) -> Text:
    verb = "would be joined" if document["dry_run"] else "joined"
    lines = [
        f"{counted(document['joined'], 'pair')} {verb}",
        f"{counted(document['together'], 'pair')} together before",
        f"{counted(document['repeated'], 'pair')} decided before",
        f"{counted(document['refused'], 'pair')} refused",
    ]
    lines += [f"  {count} {reason}" for reason, count in sorted(document["reasons"].items())]
    lines += [f"  {each['place']}: {each['detail']}" for each in document["refusals"]]
    return Text("\n".join(lines))


def preview_view(document: Document) -> Text:
    profiles, merges, splits = document["profiles"], document["merges"], document["splits"]
    lines = [
        f"{document['sightings']:,} distinct sets of identifiers since {instant(document['since'])}",
        *([f"cut for {document['cut']}: later ones were not looked at"] if document["cut"] else []),
        f"profiles   {profiles['before']:,} → {profiles['after']:,}",
        f"merges     {merges['profiles']:,} profiles would become {merges['groups']:,}",
        *_examples(merges["examples"], "becomes", "profile_ids"),
        f"splits     {splits['groups']:,} profiles would become {splits['profiles']:,}",
        *_examples(splits["examples"], "profile_id", "become"),
        f"blocked    {_counts(document['blocked'])}",
        f"unblocked  {_counts(document['unblocked'])}",
        f"vanished   {document['vanished']:,} profiles would have no identifier left",
        f"appeared   {document['appeared']:,} profiles would be new",
        "limits reached" if document["limits"] else "no limit reached",
        *(
            f"  {each['identifier_type']}: {each['limit']}  {each['before']:,} → {each['after']:,}"
            for each in document["limits"]
        ),
    ]
    return Text("\n".join(lines))


def _examples(examples: Iterable[Document], one: str, several: str) -> list[str]:
    lines = []
    for each in examples:
        ids = ", ".join(each[several])
        lines.append(f"  {each[one]}: {ids}" if one == "profile_id" else f"  {ids}: {each[one]}")
        lines.append(f"    {', '.join(each['identifiers'])}")
    return lines


def _counts(document: Document) -> str:
    types = ", ".join(f"{count} {kind}" for kind, count in document["identifier_types"].items())
    examples = f": {', '.join(document['examples'])}" if document["examples"] else ""
    return (types or "0 identifiers") + examples


def _profiles(profiles: Iterable[Document]) -> list[str]:
    return [
        f"  {each['profile_id']}: {', '.join(f'{count} {kind}' for kind, count in each['identifiers'].items())}; "
        f"{counted(each['fragments'], 'fragment')}"
        for each in profiles
    ]


def _links(links: Iterable[Document]) -> list[str]:
    lines = []
    for each in links:
        sure = "" if each["probability"] == 1 else f", probability {each['probability']}"
        gone = each.get("retracted")
        taken = f", taken back {instant(gone['at'])} by {gone['by']}" if gone else ""
        lines.append(
            f"  {_name(each['left'])} ─ {_name(each['right'])}: {each['why']} {each['source']}/{each['message_id']} "
            f"of {instant(each['at'])}, learnt {instant(each['received_at'])}{sure}{taken}"
        )
    return lines


def _name(identifier: Document) -> str:
    return f"{identifier['type']}:{identifier['value']}" if "value" in identifier else f"key:{identifier['key']}"


def _text(lines: list[str], document: Document) -> Text:
    if not document["is_complete"]:
        lines.append("Not all profiles around were read: there may be more.")
    return Text("\n".join(lines))  # what sources wrote is no markup
