"""The parameters of an offer or an answer, as they stand on a command line."""


def by_name(parameters):
    """`name` is true, and `name=9` is the number."""
    pairs = (parameter.partition("=") for parameter in parameters)
    return {name: int(value) if value else True for name, _, value in pairs}
