"""Do several things at once, and stop them all when the user does."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

_SLICE_S = 0.2
# Programs get a moment between the polite and the final signal; a stalled download is not waited for.
_STOP_TIMEOUT_S = 1.2

_Result = TypeVar("_Result")


def run_parallel(
    tasks: Sequence[Callable[[], _Result]], *, workers: int, stop: Callable[[], None]
) -> list[_Result]:
    """Run tasks in threads and return their results in order; the first failure in that order is raised.

    Args:
        tasks: All are run, also after a failure of one.
        workers: How many at once.
        stop: Makes running tasks end soon; called when this thread is interrupted.
    """
    pool = ThreadPoolExecutor(max_workers=max(workers, 1), thread_name_prefix="parallel")
    futures: list[Future[_Result]] = []
    try:
        futures.extend(pool.submit(task) for task in tasks)
        # In slices, because Windows delivers Ctrl-C only between waits.
        while wait(futures, timeout=_SLICE_S).not_done:
            pass
    except BaseException:
        stop()
        pool.shutdown(wait=False, cancel_futures=True)
        wait(futures, timeout=_STOP_TIMEOUT_S)
        raise
    finally:
        pool.shutdown(wait=False)
    return [future.result() for future in futures]
