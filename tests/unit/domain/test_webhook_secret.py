from onefold.domain.webhook_secret import WebhookSecrets, replace_secret

NOW, HOUR = 1_794_477_600, 3_600


def test_the_secret_that_is_replaced_stays_good_for_a_while() -> None:
    first = replace_secret(None, "one", now_s=NOW, keep_s=24 * HOUR)
    second = replace_secret(first, "two", now_s=NOW, keep_s=24 * HOUR)

    assert first.valid_at(NOW) == ("one",)
    assert second.valid_at(NOW + 24 * HOUR - 1) == ("two", "one")
    assert second.valid_at(NOW + 24 * HOUR) == ("two",)
    assert replace_secret(second, "three", now_s=NOW, keep_s=HOUR).valid_at(NOW) == ("three", "two")


def test_setting_a_secret_again_changes_nothing_and_without_keeping_ends_the_other() -> None:
    second = replace_secret(WebhookSecrets("one"), "two", now_s=NOW, keep_s=HOUR)

    assert replace_secret(second, "two", now_s=NOW + 1, keep_s=HOUR) == second
    assert replace_secret(second, "two", now_s=NOW + 1, keep_s=0).valid_at(NOW + 1) == ("two",)
    assert replace_secret(second, "three", now_s=NOW, keep_s=0).valid_at(NOW) == ("three",)


def test_secrets_do_not_show_themselves() -> None:
    assert "one" not in repr(WebhookSecrets("one"))
