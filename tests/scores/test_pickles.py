"""Results of other projects: the layouts that their code writes, golden numbers from them, and files that would run
code."""

import pickle
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from golden_runs import BUILD, case_of, golden_logits, golden_table

from fragrant.metrics import ScoreError
from fragrant.scores import ensemble_runs, ensemble_views, summarise
from fragrant.scores.inputs import open_table
from fragrant.scores.pickles import import_folder, import_pickle

LABELS = np.array(BUILD["labels"])


def dump(path, content, protocol=4) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return str(path)


def tdn_folder(folder, run: str, clips=range(4), crops=range(3)):
    """As TDN's test scripts write it: one file per clip and crop, a list of [float32 (1, K), label]."""
    logits = golden_logits(run).numpy()
    for clip in clips:
        for crop in crops:
            rows = [[logits[video, clip, crop][None], int(LABELS[video])] for video in range(40)]
            dump(folder / f"{clip}_crop{crop}.pkl", rows)
    return folder


def test_a_folder_of_tdn_gives_the_published_numbers(tmp_path):
    table = import_folder(tdn_folder(tmp_path / "a", "a"))
    assert {view.crop for view in table.views[:3]} == {"left", "right", "centre"} and table.views[2].crop == "centre"
    expected = case_of("TDN pkl_to_results, one run")["result"]
    summary = summarise(ensemble_views(table, "mean-softmax"))
    assert (summary["top1"]["percent"], summary["top5"]["percent"]) == (
        expected["top1_percent"],
        expected["top5_percent"],
    )
    both = ensemble_runs([table, import_folder(tdn_folder(tmp_path / "b", "b"))], rule="mean-relu")
    assert both.scores.argmax(1).tolist() == case_of("TDN pkl_to_results --multi")["result"]["predicted"]


def test_one_crop_of_tdn_is_the_centre(tmp_path):
    table = open_table(tdn_folder(tmp_path, "a", clips=[0], crops=[0]))
    assert [str(view) for view in table.views] == ["clip 0 centre"]
    expected = case_of("TDN pkl_to_results, clip 0")["result"]["predicted"]
    assert ensemble_views(table, "mean-softmax").scores.argmax(1).tolist() == expected


def probabilities() -> np.ndarray:
    return golden_logits("a").flatten(1, 2).softmax(-1).sum(1).numpy()


SUMMED = golden_logits("a").flatten(1, 2).sum(1).numpy()
LAYOUTS = {
    "slowfast tensors": (
        lambda: [torch.from_numpy(probabilities()), torch.from_numpy(LABELS)],
        "mean-softmax",
        "sum of prob",
    ),
    "slowfast arrays": (lambda: [probabilities(), LABELS], "sum-softmax", "sum of prob"),
    "uniformer": (lambda: {"video_preds": SUMMED, "video_labels": LABELS}, "sum-logits", "mean of logits"),
    "slowfast layout of a uniformer": (lambda: [SUMMED, LABELS], "mean-logits", "mean of logits"),
    "mmaction2": (
        lambda: [
            {"pred_score": torch.from_numpy(row / 12), "gt_label": torch.tensor([label]), "num_classes": 7}
            for row, label in zip(probabilities(), LABELS, strict=True)
        ],
        "mean-softmax",
        "sum of prob",
    ),
}


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts(name, protocol, tmp_path):
    content, rule, beginning = LAYOUTS[name]
    table = open_table(dump(tmp_path / "results.pkl", content(), protocol))
    video = ensemble_views(table, rule)
    assert video.scores.argmax(1).tolist() == case_of(beginning)["result"]["predicted"]
    assert table.paths[:2] == ("row 0", "row 1") and table.labels.tolist() == BUILD["labels"]


def test_rows_get_the_names_of_the_list(tmp_path):
    path = dump(tmp_path / "results.pkl", [SUMMED, LABELS])
    table = import_pickle(path, paths=golden_table().paths)
    both = ensemble_runs([golden_table(), table], weights=[1.0, 1.0], rule="sum-logits")
    torch.testing.assert_close(both.scores, 2 * ensemble_views(golden_table()).scores, rtol=1e-6, atol=2e-6)
    with pytest.raises(ScoreError, match="has 40 rows, the list 3 videos; give the list that was tested"):
        import_pickle(path, paths=["a", "b", "c"])


def test_what_is_ensembled_already_allows_only_its_own_rules(tmp_path):
    logits, probs = (
        import_pickle(dump(tmp_path / f"{at}.pkl", [scores, LABELS]))
        for at, scores in enumerate((SUMMED, probabilities()))
    )
    with pytest.raises(
        ScoreError, match="holds summed logits ensembled over the views; a rule on softmax cannot be applied any more"
    ):
        ensemble_views(logits, "mean-softmax")
    with pytest.raises(ScoreError, match=re.escape("allowed: sum-softmax, mean-softmax, max-softmax")):
        ensemble_runs([replace(golden_table(), paths=probs.paths), probs], rule="sum-logits")


RAN = []


def evil(*arguments):
    RAN.append(arguments)


class Evil:
    def __reduce__(self):
        return evil, (1,)


class EvilStorage:
    """Code hidden inside the bytes of a tensor's storage."""

    def __reduce__(self):
        return torch.storage._load_from_bytes, (pickle.dumps(Evil()),)


@pytest.mark.parametrize(
    "content", [Evil(), [Evil(), 1], {"video_preds": Evil()}, EvilStorage()], ids=["bare", "list", "dict", "storage"]
)
def test_no_code_from_a_pickle_runs(content, tmp_path):
    path = dump(tmp_path / "evil.pkl", content)
    with pytest.raises(ScoreError, match=re.escape(f"'{path}' is no pickle of arrays, or is damaged")):
        import_pickle(path)
    assert not RAN
    pickle.loads(pickle.dumps(content[0] if isinstance(content, list) else Evil()))
    assert RAN.pop() == (1,)  # what an ordinary reader would have done


WRONG = {
    "text": ("no pickle", "is no pickle of arrays"),
    "three things": ([1, 2, 3], "has none of the known layouts"),
    "nothing": ([], "has none of the known layouts"),
    "labels of another length": ([np.ones((3, 2), np.float32), np.ones(4, int)], "scores (3, 2) and labels (4,)"),
    "objects": ([np.array([[{}]], dtype=object), np.ones(1, int)], "an array of object"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_files(name, tmp_path):
    content, message = WRONG[name]
    path = tmp_path / "results.pkl"
    path.write_text(content) if isinstance(content, str) else dump(path, content)
    with pytest.raises(ScoreError, match=re.escape(message)):
        import_pickle(path)


def test_wrong_folders(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ScoreError, match="has no file like 0_crop0.pkl"):
        import_folder(tmp_path / "empty")
    with pytest.raises(ScoreError, match="has crops 0 to 1; allowed: crop 0 alone"):
        import_folder(tdn_folder(tmp_path / "two", "a", crops=range(2)))
    folder = tdn_folder(tmp_path / "mixed", "a", clips=[0])
    dump(folder / "0_crop2.pkl", [[np.ones((1, 7), np.float32), 3]] * 40)
    with pytest.raises(ScoreError, match="has other videos or labels than"):
        import_folder(folder)


COLLIDING = [(2**61 - 1) * number for number in range(1, 4)]  # of one hash, which is what makes a dict slow


@pytest.mark.parametrize(
    "content",
    [
        {key: None for key in COLLIDING},
        {COLLIDING[0]: None},
        {(1, 2): None, (3, 4): None},
        {2.0: None},
        [set(COLLIDING)],
        [frozenset(COLLIDING)],
    ],
)
def test_keys_that_could_share_one_hash_are_refused(content, tmp_path):
    with pytest.raises(ScoreError, match="is damaged"):
        import_pickle(dump(tmp_path / "keys.pkl", content))


@pytest.mark.parametrize(
    "content", [b"Np%d\n." % COLLIDING[1], b"(L%dL\nNd." % COLLIDING[1], b"Np-1\n.", b"Np" + b"9" * 5000 + b"\n."]
)
def test_old_protocols_neither(content, tmp_path):
    (tmp_path / "keys.pkl").write_bytes(content)
    with pytest.raises(ScoreError, match="is damaged"):
        import_pickle(tmp_path / "keys.pkl")
