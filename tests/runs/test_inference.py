"""The inference child, really running the bundled model; and a client whose child dies."""

import io
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.records import Message, Prompt
from rlhf_lab.core.resources import resource
from rlhf_lab.runs import worker
from rlhf_lab.runs.ask import REPLY, Done, Generate, ModelSpec, Reply, Token
from rlhf_lab.runs.inference import Inference

BASE = ModelSpec()


def ask(text: str, **tags: str) -> Prompt:
    return Prompt(messages=(Message(role="user", content=text),), tags=tags)


PROMPTS = [ask("What is the capital of France?"), ask("Hello!"), ask("Please tell me a longer thing about cats.")]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inference]:
    """One child for all tests here; it is running before the first of them begins."""
    with Inference(tmp_path_factory.mktemp("models")) as made:
        made.wait_for(made.generate(BASE, PROMPTS[:1], max_new_tokens=1))
        yield made


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A fresh policy adapter (which changes nothing) and reward adapters, as a run leaves them."""
    from rlhf_lab.engine.backbone import Backbone

    folder = tmp_path_factory.mktemp("adapters")
    backbone = Backbone.load(resource("model"), device="cpu")
    for name, heads in (("policy", 0), ("reward", 1), ("ensemble", 3)):
        backbone.add_adapter(name, r=2, alpha=4, seed=1, head=heads > 0, heads=heads)
        extra = {"score_mean": 0.5, "score_std": 2.0} if heads else {}
        backbone.save_adapter(name, folder / name, extra)
    return {name: folder / name for name in ("policy", "reward", "ensemble")}


def test_greedy_answers_come_in_order_and_again(client: Inference) -> None:
    first = client.wait_for(client.generate(BASE, PROMPTS, temperature=0.0, max_new_tokens=8))
    second = client.wait_for(client.generate(BASE, PROMPTS, temperature=0.0, max_new_tokens=8, seed=5))
    assert [a.index for a in first] == [0, 1, 2]
    assert [a.text for a in first] == [a.text for a in second]
    assert all(1 <= a.values["tokens"] <= 8 for a in first)


def test_the_seed_decides_what_is_sampled(client: Inference) -> None:
    texts = [
        [a.text for a in client.wait_for(client.generate(BASE, PROMPTS, max_new_tokens=12, seed=seed))]
        for seed in (1, 1, 2)
    ]
    assert texts[0] == texts[1] != texts[2]


def test_raw_and_chat_are_different_questions(client: Inference) -> None:
    raw, chat = (
        client.wait_for(client.generate(BASE, PROMPTS, mode=mode, temperature=0.0, max_new_tokens=12))
        for mode in ("raw", "chat")
    )
    assert [a.text for a in raw] != [a.text for a in chat]


def test_a_stop_text_ends_the_answer_and_is_cut_off(client: Inference) -> None:
    (plain,) = client.wait_for(client.generate(BASE, PROMPTS[:1], max_new_tokens=40, seed=3))
    middle = plain.text[len(plain.text) // 2 :][:3]
    (cut,) = client.wait_for(client.generate(BASE, PROMPTS[:1], max_new_tokens=40, seed=3, stop=middle))
    assert cut.text == plain.text.split(middle)[0].strip()
    assert cut.values["tokens"] < plain.values["tokens"]


def test_known_questions_are_judged_when_asked(client: Inference) -> None:
    known = ask("What is the capital of France?", world="knowledge", family="capital", answer="Paris")
    judged = client.wait_for(client.generate(BASE, [known, PROMPTS[0]], max_new_tokens=4, judge=True))
    assert {"gold", "correct"} <= judged[0].values.keys()
    assert "gold" not in judged[1].values
    (unjudged,) = client.wait_for(client.generate(BASE, [known], max_new_tokens=4))
    assert "gold" not in unjudged.values


def test_scores_and_kl_are_of_the_sampled_answers(client: Inference, adapters: dict[str, Path]) -> None:
    policy, reward = (ModelSpec(adapters=(adapters[name],)) for name in ("policy", "reward"))
    asked = client.generate(policy, PROMPTS, max_new_tokens=12, kl=True, reward=reward)
    answers = client.wait_for(asked)
    assert all(abs(a.values["kl"]) < 1e-4 for a in answers)
    assert len({a.values["score"] for a in answers}) == 3


def test_a_save_of_a_run_answers_as_the_step_that_it_is_of(client: Inference, tmp_path: Path) -> None:
    from rlhf_lab.engine import checkpoint
    from rlhf_lab.engine.backbone import Backbone

    run = tmp_path / "ppo-1"
    backbone = Backbone.load(resource("model"), device="cpu")
    backbone.add_adapter("policy", r=2, alpha=4, seed=1)
    for step, size in ((4, 0.0), (8, 0.2)):
        tensors = {f"policy/weight/{name}": tensor + size for name, tensor in backbone.parameters_of("policy").items()}
        checkpoint.save(run / "checkpoints", step, tensors, {"base_hash": backbone.base_hash})
    (run / "config.json").write_text('{"lora_alpha": 4}')
    first, second = (
        client.wait_for(client.generate(ModelSpec(adapters=(place,)), PROMPTS[:1], max_new_tokens=4, kl=True))[0]
        for place in (run / "checkpoints" / "step-4", run / "checkpoints" / "step-8")
    )
    assert abs(first.values["kl"]) < 1e-4 < abs(second.values["kl"])
    with pytest.raises(LabError, match="There is no step-2 of ppo-1 any more"):
        client.wait_for(client.generate(ModelSpec(adapters=(run / "checkpoints" / "step-2",)), PROMPTS[:1]))


def test_ready_made_answers_are_scored(client: Inference, adapters: dict[str, Path]) -> None:
    reward = ModelSpec(adapters=(adapters["reward"],))
    scored = client.wait_for(client.score(reward, PROMPTS[:2], ["Paris.", "Hello to you!"]))
    assert [a.text for a in scored] == ["Paris.", "Hello to you!"]
    assert scored[0].values["score"] != scored[1].values["score"]
    assert scored[0].values.keys() == {"score", "raw_score", "tokens"}
    assert [a.values["raw_score"] for a in scored] == pytest.approx([0.5 + 2.0 * a.values["score"] for a in scored])
    with pytest.raises(LabError, match="no scalar head"):
        client.wait_for(client.score(ModelSpec(adapters=(adapters["policy"],)), PROMPTS[:1], ["Paris."]))


def test_an_ensemble_says_how_far_its_heads_are_apart(client: Inference, adapters: dict[str, Path]) -> None:
    ensemble = ModelSpec(adapters=(adapters["ensemble"],))
    scored = client.wait_for(client.score(ensemble, PROMPTS[:2], ["Paris.", "Hello to you!"]))
    assert all(a.values["score_sd"] > 0 for a in scored)
    sampled = client.wait_for(client.generate(BASE, PROMPTS[:1], max_new_tokens=4, reward=ensemble))
    assert {"score", "score_sd"} <= sampled[0].values.keys()


def test_a_request_that_fails_ends_nothing_else(client: Inference, tmp_path: Path) -> None:
    bad = client.generate(ModelSpec(adapters=(tmp_path / "gone",)), PROMPTS)
    with pytest.raises(LabError, match="There is no adapter in"):
        client.wait_for(bad)
    with pytest.raises(LabError, match="no-such-model"):
        client.wait_for(client.generate(ModelSpec(model="./no-such-model"), PROMPTS))
    with pytest.raises(LabError, match="reads at most"):
        client.wait_for(client.generate(BASE, PROMPTS, max_new_tokens=100_000))
    assert len(client.wait_for(client.generate(BASE, PROMPTS, max_new_tokens=2))) == 3


def test_models_can_be_forgotten_and_come_back(client: Inference) -> None:
    before = client.wait_for(client.generate(BASE, PROMPTS, temperature=0.0, max_new_tokens=4))
    client.unload()
    after = client.wait_for(client.generate(BASE, PROMPTS, temperature=0.0, max_new_tokens=4))
    assert [a.text for a in before] == [a.text for a in after]


def test_tokens_stream(client: Inference) -> None:
    seen: list[Reply] = []
    answers = client.wait_for(client.generate(BASE, PROMPTS, stream=True, max_new_tokens=16), seen.append)
    for answer in answers:
        pieces = [r.text for r in seen if isinstance(r, Token) and r.index == answer.index]
        assert len(pieces) > 1
        assert "".join(pieces).strip() == answer.text


def test_a_cancelled_request_ends_in_the_middle(client: Inference) -> None:
    seen: list[Reply] = []

    def cancel(reply: Reply) -> None:
        seen.append(reply)
        if len(seen) == 1:
            client.cancel(request)

    request = client.generate(BASE, PROMPTS * 20, stream=True, max_new_tokens=400, seed=1)
    assert client.wait_for(request, cancel) == []
    assert seen[-1] == Done(id=request, cancelled=True)


def test_a_dead_child_fails_what_was_asked_and_the_next_one_is_new(tmp_path: Path) -> None:
    entry = (sys.executable, "-c", "import sys; sys.stdin.readline(); sys.exit(1)")
    with Inference(tmp_path, entry=entry) as client:
        for _ in range(2):
            with pytest.raises(LabError, match="ended unexpectedly"):
                client.wait_for(client.generate(BASE, PROMPTS))


def test_a_cancel_is_heard_while_the_child_says_nothing(tmp_path: Path) -> None:
    looks: list[bool] = []

    def cancelled() -> bool:
        looks.append(len(looks) == 2)
        return looks[-1]

    entry = (sys.executable, "-c", "import signal; signal.pause()")
    with Inference(tmp_path, entry=entry) as client:
        assert client.wait_for(client.generate(BASE, PROMPTS), cancelled=cancelled) == []
    assert looks == [False, False, True]


def test_closing_tells_nobody(tmp_path: Path) -> None:
    seen: list[Reply] = []
    entry = (sys.executable, "-c", "import signal; signal.pause()")
    with Inference(tmp_path, seen.append, entry=entry) as client:
        client.generate(BASE, PROMPTS)
    assert seen == []


def test_replies_come_by_callback_when_there_is_one(tmp_path: Path) -> None:
    came = threading.Event()
    program = """import sys; sys.stdin.readline(); print('{"kind": "done", "id": 1}', flush=True); sys.stdin.read()"""
    with Inference(tmp_path, lambda reply: came.set(), entry=(sys.executable, "-c", program)) as client:
        client.generate(BASE, PROMPTS)
        assert came.wait(30)


def test_the_best_of_several_answers_is_the_one_that_the_reward_model_likes_best(
    client: Inference, adapters: dict[str, Path]
) -> None:
    reward = ModelSpec(adapters=(adapters["reward"],))
    wishes = {"max_new_tokens": 10, "seed": 4, "reward": reward}
    eight = client.wait_for(client.generate(BASE, PROMPTS[:1] * 8, **wishes))
    scores = [answer.values["score"] for answer in eight]
    assert len(set(scores)) > 1

    (best,) = client.wait_for(client.generate(BASE, PROMPTS[:1], best_of=8, **wishes))

    assert best.text == eight[scores.index(max(scores))].text
    assert best.values["score"] == pytest.approx(max(scores), abs=1e-4)
    assert best.values["mean_score"] == pytest.approx(sum(scores) / 8, abs=1e-4)
    assert best.values["best_of"] == 8
    several = client.wait_for(client.generate(BASE, PROMPTS, best_of=3, **wishes))
    assert [answer.index for answer in several] == [0, 1, 2]
    with pytest.raises(LabError, match="chosen by a reward model"):
        client.wait_for(client.generate(BASE, PROMPTS[:1], best_of=2))


def test_the_tokens_of_an_answer_spell_it_and_their_numbers_add_up_to_its_kl(
    client: Inference, adapters: dict[str, Path]
) -> None:
    other = ModelSpec(adapters=(adapters["reward"],))
    (answer,) = client.wait_for(
        client.generate(BASE, PROMPTS[:1], max_new_tokens=12, tokens=True, kl_to=other, mode="raw")
    )
    assert "".join(answer.pieces).replace("<|end|>", "").strip() == answer.text
    assert len(answer.per_token["kl"]) == len(answer.pieces) == answer.values["tokens"]
    assert sum(answer.per_token["kl"]) == pytest.approx(answer.values["kl"], abs=1e-4)
    (plain,) = client.wait_for(client.generate(BASE, PROMPTS[:1], max_new_tokens=12, kl_to=other, mode="raw"))
    assert (plain.pieces, plain.per_token) == ((), {})
    assert plain.values == answer.values


def test_a_model_that_has_gone_is_said_before_the_libraries_are_loaded(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from rlhf_lab.core.errors import LabError
from rlhf_lab.runs import worker
from rlhf_lab.runs.ask import Generate, ModelSpec
try:
    worker.begin(Generate(id=1, model=ModelSpec(model=sys.argv[1]), prompts=()), Path())
except LabError as error:
    print("torch" in sys.modules, error)
"""
    gone = str(tmp_path / "gone")
    ended = subprocess.run([sys.executable, "-c", code, gone], capture_output=True, text=True, timeout=30, check=True)
    assert ended.stdout.startswith("False ")
    assert gone in ended.stdout


def test_what_was_cancelled_while_it_waited_loads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []

    def begin(request: Generate, models_folder: Path) -> None:
        begun.append(request.id)
        raise SystemExit

    monkeypatch.setattr(worker, "begin", begin)
    out = io.BytesIO()
    desk = worker.Desk(out, cancelled={1})
    for number in (1, 2):
        desk.waiting.put(Generate(id=number, model=BASE, prompts=()))
    with pytest.raises(SystemExit):
        worker.serve(desk, Path())
    assert begun == [2]
    assert REPLY.validate_json(out.getvalue()) == Done(id=1, cancelled=True)
