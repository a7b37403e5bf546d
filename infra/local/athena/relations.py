"""What stands in FROM: tables, views, subqueries and joins, entered into the scope, and which partitions are needed."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from infra.local.athena.nodes import Columns, Node, Relation, Scan, Scope, View, name, without_columns, write

if TYPE_CHECKING:
    from infra.local.athena.translator import Translator

VIEW_DEPTH_MAX = 16


def join(tr: "Translator", node: exp.Join, scope: Scope) -> None:
    """Translate one JOIN and enter what it joins into the scope."""
    if node.args.get("method") or node.side not in {"", "LEFT", "RIGHT", "FULL"}:
        raise tr.refuse(node, f"{node.args.get('method') or node.side} JOIN")
    if node.kind not in {"", "INNER", "OUTER", "CROSS"}:
        raise tr.refuse(node, f"{node.kind} JOIN")
    before = dict(scope.relations)
    node.set("this", relation(tr, node.this, scope))
    added = [entered for alias, entered in scope.relations.items() if alias not in before]
    for column in node.args.get("using") or []:
        key = column.name.lower()
        sides = [[side for side in of if key in side.columns] for of in (before.values(), added)]
        if not all(sides):
            raise tr.missing(column, column.name)
        for side in (*sides[0], *sides[1]):
            tr.use(side, key)
        scope.joined_using[key] = sides[0][0].columns[key][1]
    if node.args.get("on"):
        node.set("on", tr.expression(node.args["on"], scope))
        if node.side in {"", "LEFT"}:
            prune(tr, node.args["on"], added)


def relation(tr: "Translator", node: Any, scope: Scope) -> Node:
    """Translate one item of FROM and enter it into the scope."""
    if isinstance(node, exp.Unnest):
        return tr.expression(node, scope)
    if node.args.get("sample") or node.args.get("pivots") or node.args.get("joins") or node.args.get("version"):
        raise tr.refuse(node, "TABLESAMPLE, PIVOT, a bracketed join or time travel")
    names = [column.name for column in (node.args["alias"].args.get("columns") or [])] if node.args.get("alias") else []
    if isinstance(node, exp.Values | exp.Subquery):
        inner, columns = tr.query(node if isinstance(node, exp.Values) else node.this, scope.parent or Scope())
        return derived(tr, node, inner, tr.renamed(node, columns, names), scope)
    if not isinstance(node, exp.Table) or not isinstance(node.this, exp.Identifier):
        raise tr.refuse(node, node.key.upper())
    common = None if node.db else common_table(node.name, scope)
    if common is not None:
        enter(tr, scope, node, Relation({n.lower(): (n, t) for n, t in tr.renamed(node, common, names)}))
        return node
    return stored(tr, node, names, scope)


def stored(tr: "Translator", node: exp.Table, names: list[str], scope: Scope) -> Node:
    database = (node.db or tr.database).lower()
    found = tr.catalog.find(database, node.name.lower())
    if found is None:
        what = f"Table 'awsdatacatalog.{database}.{node.name.lower()}' does not exist"
        raise tr.fail(node, "TABLE_NOT_FOUND", what)
    if isinstance(found, View):
        outer = tr.database, tr.source
        tr.database, tr.depth = found.database, tr.depth + 1
        if tr.depth > VIEW_DEPTH_MAX:
            raise tr.fail(node, "INVALID_VIEW", f"View {node.name} nests deeper than {VIEW_DEPTH_MAX}")
        inner, columns = tr.query(tr.parse(found.sql, []), Scope())
        (tr.database, tr.source), tr.depth = outer, tr.depth - 1
        return derived(tr, node, inner, tr.renamed(node, columns, names), scope)
    scan = Scan(tr.fresh("scan"), node.alias_or_name, found)
    tr.scans[scan.relation] = scan
    if names:
        raise tr.refuse(node, "an alias list on a stored table")
    enter(tr, scope, node, Relation({n.lower(): (n, t) for n, t in found.columns}, scan.relation, found.hidden))
    return exp.Table(this=name(scan.relation), alias=exp.TableAlias(this=name(node.alias_or_name.lower())))


def derived(tr: "Translator", node: Node, inner: Node, columns: Columns, scope: Scope) -> Node:
    alias = node.alias_or_name or tr.fresh("derived")
    enter(tr, scope, node, Relation({label.lower(): (label, duck) for label, duck in columns}), alias)
    names = [name(column) for column, _ in columns]
    return exp.Subquery(this=inner, alias=exp.TableAlias(this=name(alias.lower()), columns=names))


def enter(tr: "Translator", scope: Scope, node: Node, entered: Relation, alias: str = "") -> None:
    key = (alias or node.alias_or_name).lower()
    if key in scope.relations:
        raise tr.refuse(node, f"the relation name {key} twice in one FROM")
    scope.relations[key] = entered


def common_table(label: str, scope: Scope | None) -> Columns | None:
    while scope:
        if label.lower() in scope.ctes:
            return scope.ctes[label.lower()]
        scope = scope.parent
    return None


def prune(tr: "Translator", condition: Node, relations: Iterable[Relation]) -> None:
    """Give the scans of these relations the conjuncts that speak of their partition keys alone.

    A conjunct that NULLs meet is left out: after an outer join it may keep rows that match nothing.
    """
    scans = {entered.scan for entered in relations if entered.scan}
    for part in condition.flatten() if isinstance(condition, exp.And) else [condition]:
        columns = [node for node in part.walk() if "key" in node.meta]
        of = {str(node.meta.get("scan")) for node in columns}
        scan = tr.scans.get(of.pop()) if len(of) == 1 else None
        if scan is None or scan.relation not in scans or part.find(exp.Query):
            continue
        keys_alone = all(node.meta["key"] in scan.table.partition_keys for node in columns)
        met_by_nulls = f"SELECT ({write(without_columns(part))}) IS TRUE"
        if keys_alone and not tr.engine.execute(met_by_nulls).fetchall()[0][0]:
            scan.predicates.append(write(part))
