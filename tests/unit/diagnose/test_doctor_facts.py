"""The document of a machine's facts: nothing private goes out, nothing hostile comes in."""

import json
from dataclasses import fields
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from provisioner.diagnose.machine.doctor import LAYERS, judge_layers
from provisioner.diagnose.machine.facts import (
    KEPT_VARIABLES,
    DeviceNode,
    DisplayDevice,
    EnvironmentFacts,
    HostFacts,
    Library,
    Reach,
    TorchFacts,
    keep_variables,
)
from provisioner.diagnose.machine.facts_json import as_json, parse_facts, scrub
from provisioner.diagnose.machine.layers.model import LayerState, WantedHost
from provisioner.errors import UsageError
from provisioner.profile.model import TorchVariant

PACKAGES = ["torch", "torchvision", "intel-extension-for-pytorch", "bigdl-core-xe-21", "intel-sycl-rt"]

INHERITED = {
    "HOME": "/home/mona",
    "USER": "mona",
    "HOSTNAME": "mona-tower",
    "PYTHONPATH": "/home/mona/lib:/srv/mona/lib:/home/other/x",
    "LD_LIBRARY_PATH": "/opt/intel/oneapi/lib",
    "AWS_SECRET_ACCESS_KEY": "hunter2",
    "HTTPS_PROXY": "http://mona:hunter2@proxy.example:8080",
}

FULL = HostFacts(
    os="linux",
    release="Ubuntu 24.04",
    kernel="6.11.0",
    container=False,
    wsl=False,
    displays=(DisplayDevice(vendor="8086", device="56a0", driver="i915", bar_bytes=17179869184),),
    nodes=(DeviceNode(path="/dev/dri/renderD128", mode="0660", group="render", accessible=True),),
    groups=("render",),
    libraries=(Library(kind="loader", path="/home/mona/lib/libze_loader.so.1", version="1.2.3"),),
    opencl_vendors=(),
    variables=keep_variables(INHERITED),
    disk_free_bytes=1,
    target="/home/mona/envs",
    target_length=15,
    reach=(Reach(name="pypi", reached=False, detail="http://mona:hunter2@mirror.example refused"),),
    environment=EnvironmentFacts(
        python="3.11", distributions={"torch": "2.6.0+xpu"}, missing_libraries=("/home/mona/x.so",)
    ),
    torch=TorchFacts(version="2.6.0", devices=(), error="cannot open C:\\Users\\Mona\\torch\n"),
)


def test_nothing_private_is_saved() -> None:
    """A saved document holds no user name, host name, home folder, password or unlisted variable."""
    text = json.dumps(as_json(scrub(FULL, variables=INHERITED)), ensure_ascii=False)
    for word in ("mona", "Mona", "hunter2", "proxy.example", "/home/", "AWS_SECRET"):
        assert word not in text
    assert "/opt/intel/oneapi/lib" in text
    assert '"HTTPS_PROXY": "set"' in text


def test_what_is_saved_can_be_loaded() -> None:
    """A document that was saved loads, as JSON text too, and saves to the same document again."""
    document = json.loads(json.dumps(as_json(scrub(FULL, variables=INHERITED))))
    facts = parse_facts(document)
    assert json.loads(json.dumps(as_json(facts))) == document
    assert facts.displays == FULL.displays
    assert facts.environment is not None
    assert facts.environment.distributions == {"torch": "2.6.0+xpu"}


def test_unknown_stays_unknown() -> None:
    """What was not gathered is left out of the document and is None again, never empty."""
    document = as_json(HostFacts(os="linux", displays=()))
    assert "nodes" not in document
    assert parse_facts(document).nodes is None
    assert parse_facts(document).displays == ()


GOOD: dict[str, Any] = {"schema": "provision.host/1", "os": "linux"}


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"schema": "provision.host/2", "os": "linux"},
        {"schema": "provision.host/1"},
        GOOD | {"os": 7},
        GOOD | {"os": "linux\x1b[31m"},
        GOOD | {"kernel": "x" * 10_000},
        GOOD | {"container": 1},
        GOOD | {"disk_free_bytes": True},
        GOOD | {"displays": {"vendor": "8086"}},
        GOOD | {"displays": [{"vendor": "8086"}]},
        GOOD | {"displays": ["8086:56a0"]},
        GOOD | {"variables": {"A": 1}},
        GOOD | {"variables": []},
        GOOD | {"nodes": ["x"] * 30_000},
        GOOD | {"environment": {"distributions": {"torch\n": "1"}}},
    ],
)
def test_a_document_of_the_wrong_form_is_refused(document: object) -> None:
    """Documents come from anyone: wrong types, control characters and endless texts are usage errors."""
    with pytest.raises(UsageError) as caught:
        parse_facts(document)
    assert caught.value.code == "doctor.bad_facts"
    assert caught.value.message.isprintable()
    assert caught.value.hints


TEXT = st.text(alphabet="aZ0:/\\~;!. \n\x1b\u0663\u4e2d", max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from([each.name for each in fields(HostFacts)])


@given(st.dictionaries(KEYS, JSON), st.sampled_from(["cpu", "xpu"]))
def test_no_document_makes_doctor_crash(values: dict[str, Any], device: str) -> None:
    """Any JSON is refused as a usage error or judged; nothing else comes out."""
    try:
        facts = parse_facts(GOOD | values)
    except UsageError:
        return
    assert len(judge_layers(facts, WantedHost(device=device, built=True))) == 11


VERSIONS = st.sampled_from(
    ["", "1", "6.8", "x.y", "31.0.101.5122", "1.3.29735", "9" * 40, "2.6.0+xpu", "٣.٤"]
)
DISPLAYS = st.builds(
    DisplayDevice,
    vendor=st.sampled_from(["8086", "10de", "zz"]),
    device=st.sampled_from(["56a0", "e20b", "4680", "ffff"]),
    driver=st.sampled_from([None, "", "i915", "vfio-pci", "BasicDisplay"]),
    driver_version=VERSIONS | st.none(),
    problem=st.sampled_from([None, 0, 43, 999]),
    bar_bytes=st.sampled_from([None, 0, 2**28, 2**34]),
)
HOSTS = st.builds(
    HostFacts,
    os=st.sampled_from(["linux", "windows", "plan9"]),
    kernel=VERSIONS | st.none(),
    container=st.none() | st.booleans(),
    wsl=st.none() | st.booleans(),
    displays=st.none() | st.lists(DISPLAYS, max_size=3).map(tuple),
    nodes=st.none()
    | st.lists(st.builds(DeviceNode, path=TEXT, accessible=st.none() | st.booleans())).map(tuple),
    libraries=st.none()
    | st.lists(
        st.builds(
            Library, kind=st.sampled_from(["loader", "gpu-driver"]), path=TEXT, version=VERSIONS | st.none()
        )
    ).map(tuple),
    opencl_vendors=st.none() | st.just(()) | st.just(("intel.icd: x",)),
    variables=st.dictionaries(st.sampled_from(KEPT_VARIABLES), TEXT, max_size=4),
    environment=st.none()
    | st.builds(
        EnvironmentFacts, distributions=st.dictionaries(st.sampled_from(PACKAGES), VERSIONS, max_size=5)
    ),
)


@given(
    HOSTS,
    st.builds(
        WantedHost,
        device=st.sampled_from(["cpu", "xpu"]),
        torch=st.none() | st.sampled_from(TorchVariant),
    ),
)
def test_every_machine_is_judged_in_every_layer(facts: HostFacts, wanted: WantedHost) -> None:
    """Whatever the facts, each layer answers, and each failure says what to do."""
    results = judge_layers(facts, wanted)
    assert list(results) == list(LAYERS)
    assert all(result.evidence for result in results.values())
    assert all(result.hint for result in results.values() if result.state is LayerState.FAIL)


def test_keys_of_later_versions_are_left_aside() -> None:
    """A document with keys that this version does not know still loads."""
    assert parse_facts(GOOD | {"source": "somewhere", "later": {"a": []}}).os == "linux"
