"""Phrases made comparable: lower case, stop words out, plurals to singulars, as CIKGRec does before it embeds them.

Source: Hu et al., AAAI 2025, arXiv 2412.13544 (cleaning). The lemmatiser is a rule for regular and common irregular English plurals and
nothing else: "-ing" words stay as they are (cooking, wedding and gardening are interests, not verbs), and so does every word that is not
plain Latin letters. A dictionary would be better for other languages; phrases in them survive, unlemmatised.
"""

from __future__ import annotations

import polars as pl

from loreweave.knowledge.stop_words import STOP_WORDS

# ruff: noqa: SIM905 - lists of quoted words would be several times as long

SHORTEST, LONGEST = 2, 50
"""Length in characters of a cleaned phrase that is kept (CIKGRec: 1 < length ≤ 50)."""

_SHORT = frozenset("a an am as at be by do he if in is it me my no of on or so to up we".split())
"""Function words below three letters, which `STOP_WORDS` leaves to whoever drops short words; "us" may be a country."""

_WORD = r"\w+(?:['’&.\-]\w+)*[+#]*"
"""A word: letters and digits of any script, held together by apostrophe, ampersand, dot or hyphen (sci-fi, r&b, o'brien, c++)."""

_IRREGULAR = dict(
    pair.split(":")
    for pair in (
        "men:man women:woman gentlemen:gentleman firemen:fireman policemen:policeman fishermen:fisherman businessmen:businessman "
        "children:child grandchildren:grandchild mice:mouse geese:goose feet:foot teeth:tooth oxen:ox dice:dice "
        "wolves:wolf werewolves:werewolf elves:elf dwarves:dwarf knives:knife wives:wife housewives:housewife lives:life thieves:thief "
        "leaves:leaf shelves:shelf halves:half calves:calf loaves:loaf scarves:scarf hooves:hoof selves:self "
        "shoes:shoe horseshoes:horseshoe snowshoes:snowshoe canoes:canoe oboes:oboe "
        "aches:ache headaches:headache caches:cache niches:niche psyches:psyche avalanches:avalanche "
        "movies:movie zombies:zombie cookies:cookie rookies:rookie genies:genie pixies:pixie hippies:hippie foodies:foodie "
        "brownies:brownie smoothies:smoothie calories:calorie prairies:prairie reveries:reverie menageries:menagerie selfies:selfie "
        "crises:crisis analyses:analysis theses:thesis hypotheses:hypothesis oases:oasis diagnoses:diagnosis "
        "comics:comic classics:classic critics:critic topics:topic lyrics:lyric relics:relic clinics:clinic picnics:picnic "
        "fabrics:fabric skeptics:skeptic mystics:mystic heretics:heretic robotics:robotics"
    ).split()
)
_UNCHANGED = (
    "series species news means lens mars chaos cosmos ethos pathos mythos logos eros atlas canvas bias alias gas christmas texas kansas "
    "arkansas dallas vegas bahamas honduras thomas lucas douglas nicholas judas james charles holmes dickens hercules ulysses achilles "
    "wales athens brussels los andes"
).split()


def clean(phrases: pl.Series) -> pl.Series:
    """Cleaned phrases, in order; an empty string where nothing but stop words and signs was said. No length is refused here.

    Args:
        phrases: String; nulls count as empty. Any script; text is brought to Unicode form NFKC.
    """
    rows = pl.DataFrame({"text": phrases.cast(pl.String)}).with_row_index("row")
    text = pl.col("text").fill_null("").str.normalize("NFKC").str.to_lowercase()
    words = rows.select("row", word=text.str.extract_all(_WORD)).explode("word").drop_nulls("word")
    words = words.with_columns(pl.col("word").str.replace_all("’", "'").str.replace(r"'s?$", ""))
    words = words.filter(~pl.col("word").is_in(sorted(STOP_WORDS | _SHORT)))
    distinct = words["word"].unique(maintain_order=True)
    lemmas = pl.DataFrame({"word": distinct, "lemma": singular(distinct)})
    said = words.join(lemmas, on="word", how="left", maintain_order="left")
    said = said.group_by("row", maintain_order=True).agg(pl.col("lemma").str.join(" "))
    return rows.join(said, on="row", how="left", maintain_order="left")["lemma"].fill_null("").alias("phrase")


def singular(words: pl.Series) -> pl.Series:
    """English nouns in lower case without their plural ending; whatever is no plural by the rules stays."""
    word = pl.col("word")
    plural = word.str.contains(r"^[a-z][a-z'&.\-]*s$") & (word.str.len_chars() > 3)
    kept = word.str.contains(r"(?:ss|us|is|ics)$") | word.is_in(_UNCHANGED)
    lemma = (
        pl.when(word.is_in(list(_IRREGULAR)))
        .then(word.replace(_IRREGULAR))
        .when(~plural | kept)
        .then(word)
        .when(word.str.contains(r"..ies$"))  # stories, but not ties
        .then(word.str.replace(r"ies$", "y"))
        .when(word.str.contains(r"(?:ss|sh|ch|x|zz)es$|..oes$|..[^aeo]uses$"))  # witches, heroes, viruses; not horses, houses, causes
        .then(word.str.replace(r"es$", ""))
        .otherwise(word.str.replace(r"s$", ""))
    )
    return pl.DataFrame({"word": words}).select(lemma=lemma)["lemma"]
