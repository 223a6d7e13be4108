"""Build the extension outside the source tree, so that a checkout stays clean."""

import tempfile

from setuptools import setup  # type: ignore[import-untyped] # its stubs are a package of their own
from torch.utils.cpp_extension import BuildExtension, CppExtension

scratch = tempfile.TemporaryDirectory(prefix="softxpu-build-")  # removed when this process ends

setup(
    packages=["softxpu"],
    py_modules=["xe_addons", "xe_batch", "xe_linear"],
    ext_modules=[CppExtension("softxpu.native", ["softxpu.cpp"], extra_compile_args=["-O1", "-g0"])],
    cmdclass={"build_ext": BuildExtension.with_options(use_ninja=False)},
    options={"build": {"build_base": scratch.name}, "egg_info": {"egg_base": scratch.name}},
)
