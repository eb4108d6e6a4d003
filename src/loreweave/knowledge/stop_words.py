"""English words that say nothing about what a text is about. Words common in the catalogue at hand are found by counting instead."""

STOP_WORDS: frozenset[str] = frozenset(
    """
    about above after again against all along also although always among and another any anyone anything are around away back
    because become been before behind being below between both but came can cannot come comes could did does doing done down during
    each either else even ever every everyone everything few first for from full get gets give given gives goes going got had has
    have having her here hers herself him himself his how however into its itself just keep kept know known last least less let like
    made make makes many may meets might more most much must myself nearly need never new next none nor not nothing now off often
    old once one only onto other others our out over own part per perhaps put quite rather really same second see seem seems set
    several shall she should since some someone something soon still such take takes tell tells than that the their theirs them
    themselves then there these they thing things this those though three through thus together told too took toward towards two
    under until upon use used using very via want wants was way well went were what when where whether which while who whole whom
    whose why will with within without would yet you your yours yourself aren couldn didn doesn don hadn hasn haven isn mustn
    shouldn wasn weren won wouldn book books edition novel novels paperback series story stories tale tales volume vol
    """.split()  # noqa: SIM905 - a list literal would be five times as long
)
"""Function words, and what nearly every title of a book or film could say of itself."""
