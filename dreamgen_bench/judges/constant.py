"""Judges that do not look: what any judge has to beat, and what validation has to refuse."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..types import Question, Reply, Spec

SPECS = [
    Spec(
        name=f"always-{word}",
        revision="1",
        load="dreamgen_bench.judges.constant:load",
        license="Apache-2.0",
        args={"place": place},
        summary=f"Says {word} to everything: a floor that fails every validation.",
        group="control",
    )
    for word, place in (("yes", 0), ("no", -1))
]


class ConstantJudge:
    """Gives the option at one place, whatever is shown."""

    def __init__(self, place: int) -> None:
        self.place = place

    def ask(self, questions: Sequence[Question]) -> Iterator[Reply]:
        """One reply per question."""
        for question in questions:
            yield Reply(text=question.options[self.place])


def load(place: int) -> ConstantJudge:
    """The judge that gives the option at `place`, of options with the best first."""
    return ConstantJudge(place)
