"""The words of the simulated world: interests, what books about them are called, and how they are described."""

from __future__ import annotations

# ruff: noqa: SIM905 - lists of quoted words would be several times as long

INTERESTS: dict[str, tuple[str, ...]] = {
    name: tuple(words.split())
    for name, words in {
        "seafaring": "harbour schooner lighthouse tide captain mutiny reef anchor whaler lagoon compass sailcloth",
        "dragons": "dragon scale hoard wyvern flame rider egg cavern talon fang serpent brood",
        "detection": "detective clue alibi witness inspector motive fingerprint suspect confession informant warrant ledger",
        "space": "orbit starship asteroid airlock nebula android reactor moonbase telescope cosmonaut gravity beacon",
        "cookery": "kitchen recipe saffron baker oven feast spice cellar orchard honey chef banquet",
        "mountains": "summit glacier avalanche ridge rope sherpa crevasse blizzard altitude basecamp cliff expedition",
        "courts": "lawyer verdict judge trial jury courtroom appeal evidence defendant oath barrister acquittal",
        "romance": "sweetheart wedding kiss courtship ballroom proposal letter bouquet bride suitor valentine elopement",
        "ghosts": "ghost manor seance apparition crypt whisper attic medium phantom graveyard curse haunting",
        "espionage": "spy cipher defector embassy agent dossier microfilm handler border safehouse codename courier",
        "gardens": "garden rose greenhouse seedling hedge gardener orchid pruning meadow blossom nursery soil",
        "trains": "railway locomotive carriage platform signal conductor tunnel timetable sleeper junction whistle viaduct",
        "music": "violin orchestra melody cello conservatory pianist sonata choir maestro rehearsal opera quartet",
        "war": "soldier trench regiment battalion sergeant armistice siege bayonet medic convoy barracks rifle",
        "wizardry": "wizard spell wand grimoire apprentice sorcery potion familiar enchantment tower rune alchemy",
        "horses": "stallion saddle stable bridle mare gallop jockey paddock foal farrier derby rein",
        "painting": "canvas easel portrait studio fresco pigment brush forger gallery sketch muse palette",
        "wilderness": "forest wolf trapper cabin river bear trail canoe hermit pine tracker lichen",
        "finance": "banker bond merger dividend broker fraud auditor bankruptcy shares swindle market takeover",
        "medicine": "surgeon ward fever vaccine physician diagnosis hospital plague nurse remedy epidemic scalpel",
        "antiquity": "pharaoh temple legion oracle papyrus gladiator emperor amphora scribe chariot tomb senate",
        "football": "striker goalkeeper league penalty stadium coach midfield derby-day transfer terrace trophy kickoff",
        "robots": "robot circuit algorithm inventor prototype sensor machine automaton laboratory engineer code network",
        "childhood": "schoolyard kite treehouse sister brother marbles summer camp teacher bicycle grandmother puppy",
    }.items()
}
"""Interest → twelve words that books about it use. A word belongs to one interest."""

ADJECTIVES = tuple(
    "silent crimson forgotten broken golden hidden distant restless hollow winter borrowed patient burning gentle crooked "
    "secret bitter pale wandering faithful".split()
)
PLACES = tuple("Arden Brackwater Calder Dunmore Eskdale Farrow Greyport Halden Inverley Jarrow Kestrel Lowick Marrow Norholm Ostby".split())
FIRST_NAMES = tuple(
    "Ada Bruno Clara Dmitri Edith Felix Greta Hugo Ines Jonas Katya Leon Mira Nils Olga Pavel Quinn Rosa Stefan Tilda Ugo Vera Walter "
    "Xenia Yusuf Zora Amos Bettina Cyril Dora".split()
)
LAST_NAMES = tuple(
    "Abel Brandt Castell Dorn Ekberg Falk Grimaldi Holt Ivers Jansen Kessler Lund Marchetti Novak Oakes Petrov Quist Rask Sorel Thorne "
    "Umber Vance Weller Yates Zander Ashby Bellamy Corrigan Draper Ellery Fenwick Garrick Hale Ingram Joyner Kirby Langley Mercer Nash "
    "Orton".split()
)

TITLES = (
    "The {A} of {place}",
    "The {Adj} {A}",
    "{A} and {B}",
    "The Last {A}",
    "The {A} and the {B}",
    "Beyond the {Adj} {A}",
    "{name}'s {A}",
    "The {A} at {place}",
    "Return to the {A}",
    "No {A} in {place}",
    "The {B} in the {A}",
    "One {Adj} {A}",
)
"""`A`, `B`: words of the book's interests; `Adj`, `place`, `name`: of nobody's."""

SENTENCES = (
    "When the {a} of {place} disappears, {name} must trust a {adj} {b}.",
    "{name} has sworn never to speak of the {a}, until a {adj} {b} arrives in {place}.",
    "In {place}, where every {a} hides a {b}, {name} begins to ask questions.",
    "A {adj} {a}, a lost {b} and the summer that changed {name} for good.",
    "Nobody in {place} believes in the {a} any more, but {name} has seen the {b}.",
    "{name} inherits a {adj} {a} and learns what the {b} costs.",
    "The {a} was meant to be simple; then {name} found the {b} beneath it.",
    "Between the {a} and the {b} lies a secret that {place} has kept for years.",
    "It takes a {adj} {b} to show {name} what the {a} was for.",
    "Told with warmth and wit, this is the story of a {a}, a {b} and the people of {place}.",
)
"""As `TITLES`, in lower case."""
