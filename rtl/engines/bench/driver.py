"""The bench's driver: puts one cycle's words on the input ports."""

from typing import Any

from densimeter.rtl.engines.bench.model import Model


class Driver:
    """Drives the unit's inputs; called at falling edges, so that the words are stable at the rising edge."""

    def __init__(self, dut: Any, model: Model) -> None:
        self._ports = [(getattr(dut, name), words) for name, words in model.words.items()]
        self._held: list[int | None] = [None] * len(self._ports)

    def drive(self, cycle: int) -> None:
        for index, (port, words) in enumerate(self._ports):
            word = words[cycle]
            if word != self._held[index]:
                port.value = self._held[index] = word
