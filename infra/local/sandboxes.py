"""Execution environments: what one running copy of a function sees of the process around it."""

import builtins
import importlib
import io
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import botocore

# Packages that keep a function's state in module globals (metric sets, the current request, logger settings): in Lambda
# no two invocations ever share them, so every sandbox imports its own copy, as it does of all first-party code.
STATEFUL_PACKAGES = frozenset({"aws_lambda_powertools", "logging"})

Handler = Callable[[Any, Any], Any]


class Sandbox:
    """One copy of a function's modules, with its own environment, standard output and boto3 default session.

    Lambda runs one invocation at a time in an execution environment; the caller keeps that promise here.
    """

    def __init__(
        self,
        prefix: str,
        asset: Path,
        *,
        environment: Mapping[str, str],
        session: boto3.Session,
        log: Callable[[str], None],
    ) -> None:
        self.prefix = prefix
        self._asset = asset
        self._private_by_root: dict[str, bool] = {}
        output = self._output = _LineOutput(log)
        variables = dict(environment)
        self._shims = {
            "os": _Shim(os, environ=variables, getenv=variables.get),
            "sys": _Shim(sys, stdout=output, stderr=output),
            "boto3": _Shim(boto3, client=session.client, resource=session.resource, DEFAULT_SESSION=session),
        }

        def print_line(*values: object, file: Any = None, **options: Any) -> None:
            builtins.print(*values, file=file or output, **options)

        self.builtins = {**vars(builtins), "__import__": self._import, "print": print_line}

    def load(self, handler: str) -> Handler:
        """Import the module of `handler`, such as "handler.handle", and return its function."""
        _Finder.register(self)
        module, _, attribute = handler.replace("/", ".").rpartition(".")
        try:
            loaded: Handler = getattr(importlib.import_module(f"{self.prefix}.{module}"), attribute)
        except BaseException:
            self.close()
            raise
        return loaded

    def close(self) -> None:
        """Forget the modules.

        Typing and msgspec keep classes that they saw, and the process its exit handlers, to its very end: those shall
        not keep the runtime, too.
        """
        _Finder.forget(self)
        initializers: list[Any] = vars(botocore)["_INITIALIZERS"]
        initializers[:] = [each for each in initializers if not each.__module__.startswith(f"{self.prefix}.")]
        self.builtins.update(vars(builtins))
        self._output.take = len

    def find_spec(self, fullname: str, path: Sequence[str] | None) -> ModuleSpec | None:
        """The spec of a private module, renamed to `fullname` so that no other sandbox meets it in sys.modules."""
        name = fullname.removeprefix(f"{self.prefix}.")
        found = PathFinder.find_spec(name, path if "." in name else [str(self._asset), *sys.path])
        if found is None or (found.origin and not isinstance(found.loader, SourceFileLoader)):
            return None
        locations = found.submodule_search_locations
        if found.origin is None:
            spec = ModuleSpec(fullname, None, is_package=True)
            spec.submodule_search_locations = list(locations or [])
            return spec
        return spec_from_file_location(
            fullname,
            found.origin,
            loader=_PrivateLoader(fullname, found.origin, self.builtins),
            submodule_search_locations=list(locations) if locations else None,
        )

    def _import(
        self,
        name: str,
        scope: Mapping[str, object] | None = None,
        local: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        root = name.partition(".")[0]
        if level == 0 and self._is_private(root):
            module = builtins.__import__(f"{self.prefix}.{name}", scope, local, fromlist or (), 0)
            return module if fromlist else sys.modules[f"{self.prefix}.{root}"]
        module = builtins.__import__(name, scope, local, fromlist or (), level)
        return self._shims[root] if level == 0 and root in self._shims and (not fromlist or name == root) else module

    def _is_private(self, root: str) -> bool:
        known = self._private_by_root.get(root)
        if known is None:
            known = self._private_by_root[root] = root not in self._shims and self._is_first_party(root)
        return known

    def _is_first_party(self, root: str) -> bool:
        if root in STATEFUL_PACKAGES or PathFinder.find_spec(root, [str(self._asset)]) is not None:
            return True
        spec = None if root in sys.stdlib_module_names else PathFinder.find_spec(root)
        if spec is None:
            return False
        places = [spec.origin] if spec.origin else list(spec.submodule_search_locations or [])
        return not any("site-packages" in place or "dist-packages" in place for place in places)


class _Shim(ModuleType):
    """A module of which a sandbox sees some attributes replaced."""

    def __init__(self, original: ModuleType, **replaced: object) -> None:
        super().__init__(original.__name__)
        self.__dict__.update(replaced, _original=original)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_original"], name)


class _PrivateLoader(SourceFileLoader):
    def __init__(self, fullname: str, path: str, names: dict[str, Any]) -> None:
        super().__init__(fullname, path)
        self._builtins = names

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__builtins__"] = self._builtins
        super().exec_module(module)


class _Finder(MetaPathFinder):
    """Finds "<sandbox prefix>.<module>" for `import`."""

    sandboxes: dict[str, Sandbox] = {}  # noqa: RUF012 -- one finder serves the process

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del target
        sandbox = self.sandboxes.get(fullname.partition(".")[0])
        return None if sandbox is None else sandbox.find_spec(fullname, path)

    @classmethod
    def register(cls, sandbox: Sandbox) -> None:
        if not any(isinstance(finder, cls) for finder in sys.meta_path):
            sys.meta_path.insert(0, cls())
        cls.sandboxes[sandbox.prefix] = sandbox
        root = ModuleType(sandbox.prefix)
        root.__path__ = []
        sys.modules[sandbox.prefix] = root

    @classmethod
    def forget(cls, sandbox: Sandbox) -> None:
        cls.sandboxes.pop(sandbox.prefix, None)
        for name in [name for name in sys.modules if name.partition(".")[0] == sandbox.prefix]:
            del sys.modules[name]


class _LineOutput(io.TextIOBase):
    """A text stream that hands over whole lines, as CloudWatch Logs takes them."""

    def __init__(self, take: Callable[[str], object]) -> None:
        self.take = take
        self._rest = ""
        self._lock = threading.Lock()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        with self._lock:
            *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            if line:
                self.take(line)
        return len(text)
