"""The pytest plugin: hooks are one-liners into objects that can be tested without pytest.

Importing it imports nothing heavy, and a project that names no candidate sees none of it.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from posterngate.plugin.options import add_options, read_options

if TYPE_CHECKING:
    from posterngate.plugin.controller import Controller
    from posterngate.plugin.gate_fixture import Gate
    from posterngate.plugin.worker import WorkerSide

__all__ = ["gate"]

_CONTROLLER: pytest.StashKey[Controller] = pytest.StashKey()
_WORKER: pytest.StashKey[WorkerSide] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line("markers", "gate_rule(name): the rule of thresholds.yaml that this test measures")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Validate the gate and start the broker, before xdist starts its workers."""
    config = session.config
    if hasattr(config, "workerinput"):
        _start_worker(config, config.workerinput.get("posterngate"))
    elif (options := read_options(config))["candidate"]:
        from posterngate.plugin.controller import Controller

        config.stash[_CONTROLLER] = controller = Controller.start(config, options)
        if not controller.distributed:
            _start_worker(config, controller.worker_input())


def _start_worker(config: pytest.Config, given: dict[str, Any] | None) -> None:
    if given:
        from posterngate.plugin.worker import WorkerSide

        config.stash[_WORKER] = WorkerSide(given)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a new xdist worker where the broker is."""
    if controller := node.config.stash.get(_CONTROLLER, None):
        node.workerinput["posterngate"] = controller.worker_input()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one item per population of the test's rule."""
    if "gate" in metafunc.fixturenames:
        from posterngate.plugin.collection import parametrize

        parametrize(metafunc, metafunc.config.stash.get(_WORKER, None))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the rules that the profile leaves out; order the items by the run seed."""
    if worker := config.stash.get(_WORKER, None):
        worker.select_and_order(config, items)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Without xdist: compare what was collected with thresholds.yaml."""
    controller = session.config.stash.get(_CONTROLLER, None)
    if not hasattr(session.config, "workerinput") and (controller is None or not controller.distributed):
        from posterngate.plugin.collection import check_ids

        check_ids([item.nodeid for item in session.items], controller)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: list[str]) -> None:
    """With xdist: the same comparison, in the controller, where a usage error is exit 4."""
    from posterngate.plugin.collection import check_ids

    check_ids(ids, node.config.stash.get(_CONTROLLER, None))


@pytest.fixture
def gate(request: pytest.FixtureRequest) -> Gate:
    """The gate of this item's population: call ``gate.require()`` once."""
    return request.config.stash[_WORKER].gate(request.param, request.node)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach the verdict, as plain values, to the report that travels to the controller."""
    report = yield
    if worker := item.config.stash.get(_WORKER, None):
        worker.attach(item, report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> Generator[None, None, None]:
    """Print the gate's summary below everything else."""
    yield
    if controller := config.stash.get(_CONTROLLER, None):
        controller.print_summary(terminalreporter)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    """Outermost wrapper: after all workers are done and the summary is printed, set the exit status."""
    yield
    if controller := session.config.stash.get(_CONTROLLER, None):
        session.exitstatus = controller.exit_status(session.exitstatus)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop every endpoint, whatever happened."""
    if controller := config.stash.get(_CONTROLLER, None):
        controller.close()
