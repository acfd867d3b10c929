"""FaceNet's weights: fetched once, checked in size, hash, names and shapes, and usable in the published format."""

import hashlib
import io
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from facecore.errors import GalleryError, WeightsError
from facecore.settings import Model
from faceworker import build
from faceworker.export.__main__ import main as export
from faceworker.recogniser import RecogniserOptions
from faceworker.recogniser.models import Crop, Engine, Precision
from faceworker.recogniser.picture import decode
from faceworker.recogniser.pipeline import Face
from faceworker.reference.facenet import Embedder, facenet_pytorch, inception
from faceworker.reference.weights import MAX_BYTES, MIN_BYTES, WeightsSource
from support.fakes.facenet_weights import CLASSES, published, served
from support.fakes.faces import FACES, gallery
from support.fakes.file_server import FileServer, serving

State = dict[str, torch.Tensor]


def network(**options: object) -> torch.nn.Module:
    return facenet_pytorch.InceptionResnetV1(classify=True, num_classes=CLASSES, **options)


def stored(state: object, **options: object) -> bytes:
    target = io.BytesIO()
    torch.save(state, target, **options)
    return target.getvalue()


def light_state() -> State:
    """Every tensor in its shape, over the storage of a single number: it takes no space in a file."""
    with torch.device("meta"):
        shapes = network().state_dict()
    return {name: torch.tensor(0.5).to(tensor.dtype).expand(tensor.shape) for name, tensor in shapes.items()}


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving(weights=stored(light_state())) as running:
        yield running


@pytest.fixture
def source(server: FileServer, tmp_path: Path) -> Callable[..., WeightsSource]:
    """Makes sources of a path on the server, without a lower limit on the size."""

    def make(path: str = "weights", sha256: str | None = None, **limits: int) -> WeightsSource:
        options = RecogniserOptions(1, 10**7, f"{server.url}/{path}", sha256, tmp_path / "cache")
        return WeightsSource(options, **({"min_bytes": 1} | limits))

    return make


def test_weights_are_fetched_once_and_kept(source: Callable[..., WeightsSource], server: FileServer) -> None:
    first, second = source().state(), source().state()
    assert first.keys() == second.keys()
    assert not any(name.startswith("logits") for name in first)
    assert server.requests == ["/weights"]
    assert [file.name for file in source().path.parent.iterdir()] == [source().path.name]


def test_another_url_has_another_file(source: Callable[..., WeightsSource]) -> None:
    assert source("weights").path != source("weights2").path


def test_the_hash_is_checked_where_it_is_given(source: Callable[..., WeightsSource], server: FileServer) -> None:
    digest = hashlib.sha256(server.files["/weights"]).hexdigest()
    assert source(sha256=digest.upper()).state()
    with pytest.raises(WeightsError, match=r"SHA-256.*delete"):
        source(sha256="0" * 64).state()


@pytest.mark.parametrize("changes", [{"sha256": "0" * 64}, {"min_bytes": 10**7}, {"max_bytes": 1000}])
def test_what_fails_a_check_is_not_kept(source: Callable[..., WeightsSource], changes: dict[str, object]) -> None:
    with pytest.raises(WeightsError):
        source(**changes).state()
    assert list(source().path.parent.iterdir()) == []


@pytest.mark.parametrize("path", ["missing", "circle"])
def test_what_cannot_be_fetched_is_told_with_its_url(source: Callable[..., WeightsSource], path: str) -> None:
    with pytest.raises(WeightsError, match=path):
        source(path).state()


def test_an_endless_answer_is_cut_off_at_the_limit(source: Callable[..., WeightsSource]) -> None:
    with pytest.raises(WeightsError, match="sends over 5000000 bytes"):
        source("endless", max_bytes=5_000_000).state()
    assert list(source().path.parent.iterdir()) == []


def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot be fetched"):
        WeightsSource(RecogniserOptions(1, 10**7, "http://127.0.0.1:9/weights", None, tmp_path)).state()


def test_a_cache_that_cannot_be_written_is_told(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WeightsError, match="cannot be kept"):
        WeightsSource(RecogniserOptions(1, 10**7, f"{server.url}/weights", None, tmp_path / "file" / "cache")).state()


class Payload:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("ran",)


def changed(name: str, tensor: torch.Tensor | None) -> State:
    state = light_state()
    if tensor is None:
        del state[name]
    else:
        state[name] = tensor
    return state


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (lambda: b"not weights", "cannot be read"),
        (lambda: stored(light_state())[:20_000], "cannot be read"),
        (lambda: pickle.dumps({"a": Payload()}), "cannot be read"),
        (lambda: stored({"a": Payload()}), "cannot be read"),
        (lambda: stored([1, 2]), "not a state dict"),
        (lambda: stored({"a": 1}), "not a state dict"),
        (lambda: stored({}), "missing or too many"),
        (lambda: stored(changed("last_linear.weight", None)), "last_linear.weight"),
        (lambda: stored(changed("extra", torch.zeros(1))), "extra"),
        (lambda: stored(changed("last_linear.weight", torch.zeros(512, 1791))), r"\[512, 1791\], expected"),
        (lambda: stored(changed("last_bn.bias", torch.zeros(512, dtype=torch.float64))), "float64"),
        (lambda: stored(changed("last_bn.bias", torch.full((512,), torch.nan))), "not finite"),
    ],
)
def test_wrong_tensors_are_refused(
    source: Callable[..., WeightsSource],
    server: FileServer,
    capsys: pytest.CaptureFixture[str],
    content: Callable[[], bytes],
    reason: str,
) -> None:
    server.files["/weights"] = content()
    with pytest.raises(WeightsError, match=reason):
        source().state()
    assert "ran" not in capsys.readouterr().out


def test_files_without_batch_counters_are_taken(source: Callable[..., WeightsSource], server: FileServer) -> None:
    old = {name: tensor for name, tensor in light_state().items() if not name.endswith("num_batches_tracked")}
    server.files["/weights"] = stored(old)
    assert inception(source().state()).state_dict().keys() == source().state().keys()


@pytest.mark.parametrize(
    ("engine", "precision"),
    [(Engine.TORCH, Precision.FP32), (Engine.ONNX, Precision.FP32), (Engine.ONNX, Precision.INT8)],
)
def test_the_published_format_recognises_end_to_end(tmp_path: Path, engine: Engine, precision: Precision) -> None:
    content = published()
    assert MIN_BYTES < len(content) < MAX_BYTES
    query = (FACES / "queries/obama2.jpg").read_bytes()
    with serving(weights=content) as server:
        digest = hashlib.sha256(content).hexdigest()
        options = RecogniserOptions(1, 10**7, f"{server.url}/weights", digest, tmp_path, engine, precision)
        environment = {"EFACE_MODEL": Model.FACENET, "EFACE_ENGINE": engine, "EFACE_WEIGHTS_URL": options.weights_url}
        assert export(environment | {"EFACE_WEIGHTS_SHA256": digest, "EFACE_CACHE_DIR": str(tmp_path)}) == 0
        recogniser = build.recogniser(
            Model.FACENET, gallery(Model.FACENET, ("Anna",), crop_px=240, threshold=None), options
        )
    answer = recogniser.recognise(query)
    assert (recogniser.model, answer.subject) == (Model.FACENET, "Anna")
    assert 0 < answer.distance <= 2
    with pytest.raises(GalleryError):
        build.recogniser(Model.FACENET, gallery(), options)


def test_the_embedding_is_the_library_s_own(tmp_path: Path) -> None:
    """Crop, margin, standardisation and network give what facenet-pytorch's documented use gives."""
    reference = network()
    reference.load_state_dict(torch.load(io.BytesIO(published()), weights_only=True))
    reference.classify = False
    picture = decode((FACES / "queries/obama2.jpg").read_bytes(), max_pixels=10**7)
    pixels = facenet_pytorch.extract_face(picture, np.array([100, 50, 300, 330]), 240, 20)
    pixels = facenet_pytorch.fixed_image_standardization(pixels)
    with torch.no_grad():
        expected = reference.eval()(pixels.unsqueeze(0))[0].numpy()
    with served() as url:
        embedder = Embedder(RecogniserOptions(1, 10**7, url, None, tmp_path))
    embedding = embedder.embed(picture, Face(100, 50, 300, 330, 1.0), Crop(240, 20))
    assert np.allclose(embedding, expected, atol=1e-6)
    assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-5)
