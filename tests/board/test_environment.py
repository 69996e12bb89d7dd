"""A board's file: what is read from it, and what is refused before anything is switched."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lab.board.environment import find_environment, load_board, read_board
from lab.board.run import Ask, build_id, check, release_of, variables_of
from lab.errors import InfrastructureError, UserError
from lab.paths import Paths, data_folder
from lab.settings import Settings

pytest.importorskip("labgrid", reason="the extra 'boards' is not installed")

PLAIN = "targets:\n  main:\n    drivers: {}\n"


def write(folder: Path, text: str, name: str = "b.yaml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_what_the_file_names_is_what_the_board_takes(tmp_path):
    text = PLAIN + 'images:\n  a: !template "$LG_KERNEL"\n  # !template "$LG_INITRAMFS"\n  b: $LG_INITRAMFS\n'
    board = read_board(write(tmp_path, text), {})
    assert board.takes == {"LG_KERNEL"}
    assert (board.name, board.target, board.machine.visible_nodes, board.machine.arch) == ("b", "main", 1, "x86_64")


def test_the_question_of_a_bisect_changes_with_the_file(tmp_path):
    one = read_board(write(tmp_path, PLAIN), {}).machine
    other = read_board(write(tmp_path, PLAIN + "# another cable\n"), {}).machine
    assert repr(one) != repr(other)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "not valid YAML"),
        ("[]", "not a labgrid environment"),
        ("", "not a labgrid environment"),
        ("targets: {}", "targets: there is none"),
        ("targets:\n  a: {}\n  b: {}\n", "none is called main"),
        (PLAIN + '    options: {lab: {nodes: "2"}}\n', "targets.main.options.lab: nodes: Expected `int`"),
        (PLAIN + "    options: {lab: {nodes: 0}}\n", "lab.nodes: 0 is not 1 to 128"),
        (PLAIN + "    options: {lab: {node: 2}}\n", "unknown field `node`"),
        (PLAIN + "    options: {lab: {arch: vax}}\n", "'vax' is none of"),
        (PLAIN + "    options: {lab: {firmware_seconds: -1}}\n", "firmware_seconds: -1 is not 0 to"),
        (PLAIN + '    options: {lab: {append: "a\\nb"}}\n', "append: has a line end"),
        (PLAIN + 'images: {a: !template "$LG_PLACE"}\n', "$LG_PLACE is not set"),
        (PLAIN + 'images: {a: !template "$HOME"}\n', "$HOME is not set"),
        ("targets: !!python/object/apply:os.system [true]", "not valid YAML"),
        ("\x00", "not valid YAML"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_its_key(tmp_path, text, said):
    with pytest.raises(UserError, match=r"b\.yaml: ") as caught:
        read_board(write(tmp_path, text), {"HOME": "/"})
    assert said in caught.value.message
    assert "\n" not in caught.value.message


def test_where_a_board_is_looked_for(tmp_path):
    paths = Paths(tmp_path, tmp_path, tmp_path / "config")
    here = write(tmp_path, PLAIN, "config/boards/mine.yaml")
    named = write(tmp_path, PLAIN, "far/away.yaml")
    settings = Settings(boards={"away": str(named)})
    assert find_environment("mine", paths, settings) == here
    assert find_environment("away", paths, settings) == named
    assert find_environment(str(named), paths, settings) == named
    assert find_environment("qemu-two-nodes", paths, settings).parent == data_folder("boards")
    with pytest.raises(UserError, match="no board 'other'; known boards: away, mine, qemu-two-nodes"):
        find_environment("other", paths, settings)


def test_the_example_is_a_board(tmp_path):
    board = read_board(data_folder("boards") / "qemu-two-nodes.yaml", {})
    assert board.takes == {"LG_KERNEL", "LG_INITRAMFS", "LG_APPEND"}
    assert board.machine.visible_nodes == 2


def test_without_labgrid_one_line_says_what_installs_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "labgrid", None)
    with pytest.raises(InfrastructureError) as caught:
        load_board("qemu-two-nodes", Paths(tmp_path, tmp_path, tmp_path), Settings())
    assert "labgrid, which is not installed" in caught.value.message
    assert "kernel-boot-lab[boards]" in caught.value.hint


def test_what_would_not_reach_the_board_is_refused(tmp_path):
    watched = read_board(write(tmp_path, PLAIN), {})
    given = read_board(write(tmp_path, PLAIN + 'images: {a: !template "$LG_KERNEL"}\n'), {})
    check(watched, kernel=False, append="", programs=False)
    check(given, kernel=True, append="", programs=False)
    for board, wishes, said in (
        (watched, {"kernel": True}, r"names no \$LG_KERNEL"),
        (given, {"kernel": False}, "boots what it is given"),
        (given, {"kernel": True, "append": "debug"}, r"names no \$LG_APPEND"),
        (given, {"kernel": True, "programs": True}, r"names no \$LG_INITRAMFS"),
    ):
        with pytest.raises(UserError, match=said):
            check(board, **{"kernel": True, "append": "", "programs": False, **wishes})


def test_the_word_of_a_run_comes_first_on_the_command_line(tmp_path):
    text = PLAIN + '    options: {lab: {append: "console=ttyS1"}}\nimages: {a: !template "$LG_APPEND $LG_KERNEL"}\n'
    board = read_board(write(tmp_path, text), {})
    ask = Ask(board, tmp_path / "Image", tmp_path / "i.cpio", "debug", 60.0)
    said = variables_of(ask, "lab.boot=1f3a5c7e")
    assert said == {"LG_APPEND": "lab.boot=1f3a5c7e console=ttyS1 debug", "LG_KERNEL": str(tmp_path / "Image")}


def test_which_kernel_an_image_is(tmp_path):
    image = bytearray(0x400)
    image[0x202:0x206] = b"HdrS"
    image[0x20E:0x210] = (0x40).to_bytes(2, "little")
    image[0x240:0x258] = b"6.1.192 (lab@lab) #1\0\0\0\0"
    (tmp_path / "bzImage").write_bytes(image)
    assert release_of(tmp_path / "bzImage") == "6.1.192"
    (tmp_path / "other").write_bytes(b"MZ" + bytes(100))
    assert release_of(tmp_path / "other") == ""
    assert build_id(tmp_path / "other") == ""
