"""Recommend to somebody the model has never seen, from two books they liked and an interest they name, with exact reasons."""

import loreweave as lw
from loreweave.knowledge import Knowledge, Record

world = lw.simulate(seed=1)
split = lw.split(world.dataset, seed=1)
knowledge = world.survey(as_of=split.fingerprint, seed=1)
model = lw.create("cikg-linear").fit(split.refit, knowledge)

liked = split.refit.items.ids[:2].to_list()
interest = model.interest_ids[0]
newcomer = Knowledge.from_records([Record(kind="interest", user="newcomer", interest=interest, source="person")])

print("Liked:", ", ".join(model.titles[:2]), "| interest:", model.interest_labels[0])
for item in model.recommend_histories({"newcomer": liked}, k=3, knowledge=newcomer)["item"]:
    told = Knowledge.from_records([Record(kind="interest", user="person", interest=interest, source="person")])
    why = model.explain_history(liked, item, knowledge=told)
    print(f"{why.title}: {why.score:.3f} =", " + ".join(f"{cause.contribution:.3f} ({cause.text})" for cause in why.causes))
