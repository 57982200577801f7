"""The base of recurrent steps that consist of modules, which recurrence.py and recurrent.py fill in."""
from .container import Container
from .steps import AbstractRecurrent, Twin


class StepOfModules(AbstractRecurrent, Container):
    """The base of steps that consist of modules: each step has twins of them."""

    accumulatesInBackward = True

    def __init__(self, rho, *modules):
        super().__init__(rho)
        self._count = len(modules)
        self._setChildren(list(modules))

    def _checkChildren(self, children):
        if len(children) != self._count:
            raise ValueError(f"{type(self).__name__} has {self._count} modules, each in its place, "
                             f"got {len(children)}; put several into a Sequential")

    # -- noise that lasts a sequence: Dropout with lazy ---------------------------------

    def _lazyNoise(self):
        return [m for child in self.modules for m in child.listModules() if getattr(m, "lazy", False)]

    def forget(self):
        """Start a new sequence, with noise of its own; returns self."""
        for module in self._lazyNoise():
            module.forget()
        return super().forget()

    def _startSequence(self):
        for module in self._lazyNoise():
            module.hold()  # before the twins of later steps take it over

    def setLengths(self, lengths, padding="right"):
        """setLengths of the modules inside; returns self."""
        Container.setLengths(self, lengths, padding)
        self._line = None
        return self

    def _twin(self, frame, index=0):
        """The module at *index* as step *frame* has it; the first frame has the module itself."""
        line, module = self._line, self.modules[index]
        if line.original is None:
            line.original = frame
        if line.original is frame:
            return module
        if frame.twin is None:
            frame.twin = {}
        twin = frame.twin.get(index)
        if twin is None or not twin.fits(module):
            twin = frame.twin[index] = Twin(module)
        return twin.follow()

    def _run(self, frame, index, method, *args):
        """Call *method* of the module that *frame* has at *index*; an error learns where it happened."""
        if method != "forward":
            for step in self._line.inner:
                step.showOutput(method == "accGradParameters")
            if frame.twin is not None and index in frame.twin:
                frame.twin[index].followRate()
        try:
            return getattr(frame.used[index], method)(*args)
        except Exception as error:
            self.located(error, index, method, args[0])
            raise

    def _forward(self, frame, index, input):
        if frame.used is None:
            frame.used = {}
        frame.used[index] = self._twin(frame, index)
        return self._run(frame, index, "forward", input)

    def _backward(self, frame, index, input, gradOutput, scale):
        if scale is None:
            return self._run(frame, index, "updateGradInput", input, gradOutput)
        return self._run(frame, index, "backward", input, gradOutput, scale)
