// PyTorch's `xpu` backend in host memory, for tests: tensors say `xpu:0`, live in RAM and are computed by the CPU kernels.
// What makes it behave like a device is what it refuses: tensors of two devices in one operator, more memory than it has,
// and whatever `SOFTXPU_FAULT` names (softxpu/__init__.py documents the faults; `configure` sets them).

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/EmptyTensor.h>
#include <ATen/core/op_registration/adaption.h>
#include <ATen/detail/XPUHooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/_scaled_dot_product_attention_math.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/resize_native.h>
#include <ATen/ops/set_native.h>
#include <ATen/ops/unfold_native.h>
#include <ATen/ops/view_as_complex_native.h>
#include <ATen/ops/view_as_real_native.h>
#include <ATen/ops/view_native.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace {

using at::Tensor;
using c10::Device;
using c10::DeviceIndex;
using c10::kXPU;

struct Memory {
  int64_t total = 0, refuse_above = 0, current = 0, peak = 0, allocated = 0, freed = 0;
};

std::vector<Memory> memory; // one per device
std::mutex memory_lock;
std::string fault;          // empty: none
int64_t fault_after = 0;    // so many kernels are right before the fault begins
std::atomic<int64_t> kernels{0}, matmuls{0};
std::atomic<bool> lost{false};
thread_local DeviceIndex current_index = 0;

DeviceIndex device_count() {
  return static_cast<DeviceIndex>(memory.size());
}

DeviceIndex checked(DeviceIndex index) {
  TORCH_CHECK(device_count() > 0, "No XPU devices are available.");
  TORCH_CHECK(
      index >= 0 && index < device_count(), "The device index is out of range. It must be in [0, ",
      static_cast<int>(device_count()), "), but got ", static_cast<int>(index), ".");
  return index;
}

// ---- faults ----------------------------------------------------------------------------------------------------------

[[noreturn]] void hang() {
  for (;;) pause();
}

void crash() {
  volatile int* volatile nowhere = nullptr; // so that the compiler keeps the store
  *nowhere = 1;
}

void fail_if_lost() {
  TORCH_CHECK(!lost, "level_zero backend failed with error: 20 (UR_RESULT_ERROR_DEVICE_LOST)");
}

// Allocate and touch host memory until something stops us. The ceiling is for a caller that forgot its own cap.
void exhaust_host() {
  static std::vector<c10::DataPtr> kept;
  const size_t chunk = 64 << 20, ceiling = size_t{8} << 30;
  while (kept.size() * chunk < ceiling) {
    kept.push_back(c10::GetCPUAllocator()->allocate(chunk)); // throws PyTorch's own sentence
    std::memset(kept.back().get(), 1, chunk);
  }
  TORCH_CHECK(false, "softxpu: host-oom took 8 GiB and nothing stopped it");
}

// Every kernel and every copy comes by here first.
void before_kernel() {
  const bool due = kernels++ >= fault_after;
  if (fault == "hang" && due) hang();
  fail_if_lost();
}

void before_matmul() {
  if (matmuls++ < fault_after) return;
  if (fault == "device-lost") lost = true;
  if (fault == "crash-kernel") crash();
  if (fault == "host-oom") exhaust_host();
  fail_if_lost();
}

// ---- device, memory --------------------------------------------------------------------------------------------------

struct SoftGuard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return kXPU; }
  Device getDevice() const override { return Device(kXPU, current_index); }
  Device exchangeDevice(Device d) const override {
    const Device before = getDevice();
    setDevice(d);
    return before;
  }
  void setDevice(Device d) const override { current_index = checked(d.index()); }
  void uncheckedSetDevice(Device d) const noexcept override { current_index = d.index(); }
  c10::Stream getStream(Device d) const override { return c10::Stream(c10::Stream::DEFAULT, d); }
  c10::Stream getDefaultStream(Device d) const override { return getStream(d); }
  c10::Stream getStreamFromGlobalPool(Device d, bool) const override { return getStream(d); }
  c10::Stream getNewStream(Device d, int) const override { return getStream(d); }
  c10::Stream exchangeStream(c10::Stream s) const override { return s; }
  DeviceIndex deviceCount() const noexcept override { return device_count(); }
  // Every kernel has finished when its call returns: events and streams have nothing to wait for.
  void record(void** event, const c10::Stream&, DeviceIndex, c10::EventFlag) const override { *event = this_event(); }
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  bool queryStream(const c10::Stream&) const override { return true; }
  void synchronizeStream(const c10::Stream&) const override { fail_if_lost(); }
  void synchronizeEvent(void*) const override { fail_if_lost(); }
  void synchronizeDevice(DeviceIndex) const override { fail_if_lost(); }

 private:
  static void* this_event() {
    static char token;
    return &token;
  }
};
C10_REGISTER_GUARD_IMPL(XPU, SoftGuard)

struct Block {
  c10::DataPtr host;
  size_t bytes;
  DeviceIndex device;
};

void free_block(void* context) {
  auto* block = static_cast<Block*>(context);
  std::lock_guard<std::mutex> hold(memory_lock);
  Memory& m = memory[block->device];
  m.current -= static_cast<int64_t>(block->bytes);
  m.freed += static_cast<int64_t>(block->bytes);
  delete block;
}

std::string format_size(int64_t bytes) { // as c10's caching allocators write it
  char text[48];
  if (bytes <= 1024) std::snprintf(text, sizeof text, "%lld bytes", static_cast<long long>(bytes));
  else if (bytes <= 1048576) std::snprintf(text, sizeof text, "%.2f KiB", bytes / 1024.0);
  else if (bytes <= 1073741824LL) std::snprintf(text, sizeof text, "%.2f MiB", bytes / 1048576.0);
  else std::snprintf(text, sizeof text, "%.2f GiB", bytes / 1073741824.0);
  return text;
}

struct SoftAllocator final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    const DeviceIndex device = checked(current_index);
    if (bytes == 0) return {nullptr, nullptr, &free_nothing, Device(kXPU, device)};
    {
      std::lock_guard<std::mutex> hold(memory_lock);
      Memory& m = memory[device];
      TORCH_CHECK_WITH(
          OutOfMemoryError, m.current + static_cast<int64_t>(bytes) <= m.refuse_above,
          "XPU out of memory. Tried to allocate ", format_size(bytes), ". GPU ", static_cast<int>(device),
          " has a total capacity of ", format_size(m.total), " of which ", format_size(m.refuse_above - m.current),
          " is free. Of the allocated memory ", format_size(m.current), " is allocated by PyTorch, and ",
          format_size(0), " is reserved by PyTorch but unallocated. Please use `empty_cache` to release all unoccupied"
          " cached memory.");
      m.current += static_cast<int64_t>(bytes);
      m.allocated += static_cast<int64_t>(bytes);
      m.peak = std::max(m.peak, m.current);
    }
    auto* block = new Block{c10::GetCPUAllocator()->allocate(bytes), bytes, device};
    return {block->host.get(), block, &free_block, Device(kXPU, device)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return nullptr; }
  void copy_data(void* to, const void* from, size_t bytes) const override { default_copy_data(to, from, bytes); }
  static void free_nothing(void*) {}
};
SoftAllocator allocator;
REGISTER_ALLOCATOR(c10::DeviceType::XPU, &allocator)

// What C++ code of PyTorch asks about XPU: is there one, its generator, the accelerator API.
struct SoftHooks final : at::XPUHooksInterface {
  void init() const override { TORCH_CHECK(device_count() > 0, "No XPU devices are available."); }
  bool hasXPU() const override { return true; }
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return device_count() > 0; }
  bool hasPrimaryContext(DeviceIndex) const override { return device_count() > 0; }
  DeviceIndex getNumGPUs() const override { return device_count(); }
  DeviceIndex deviceCount() const override { return device_count(); }
  DeviceIndex current_device() const override { return current_index; }
  DeviceIndex getCurrentDevice() const override { return current_index; }
  void setCurrentDevice(DeviceIndex index) const override { current_index = checked(index); }
  DeviceIndex exchangeDevice(DeviceIndex index) const override { return SoftGuard().exchangeDevice(Device(kXPU, index)).index(); }
  DeviceIndex maybeExchangeDevice(DeviceIndex index) const override { return index < 0 ? current_index : exchangeDevice(index); }
  void deviceSynchronize(DeviceIndex) const override { fail_if_lost(); }
  at::Allocator* getPinnedMemoryAllocator() const override { return c10::GetCPUAllocator(); }
  const at::Generator& getDefaultGenerator(DeviceIndex) const override { return at::detail::getDefaultCPUGenerator(); }
  at::Generator getNewGenerator(DeviceIndex) const override { return at::detail::createCPUGenerator(); }
};
const bool hooks_registered = [] {
  at::XPUHooksRegistry()->Register("XPUHooks", [] { return std::unique_ptr<at::XPUHooksInterface>(new SoftHooks()); });
  return true;
}();

// ---- operators -------------------------------------------------------------------------------------------------------

// The device that a factory was asked for; an `xpu` without a number is the current one.
Device chosen(std::optional<Device> device) {
  return Device(kXPU, checked(device && device->has_index() ? device->index() : current_index));
}

Tensor empty(
    at::IntArrayRef size, std::optional<at::ScalarType> dtype, std::optional<at::Layout>, std::optional<Device> device,
    std::optional<bool>, std::optional<at::MemoryFormat> format) {
  const c10::DeviceGuard guard(chosen(device));
  return at::detail::empty_generic(
      size, &allocator, c10::DispatchKeySet(c10::DispatchKey::XPU), c10::dtype_or_default(dtype), format);
}

Tensor empty_strided(
    at::IntArrayRef size, at::IntArrayRef stride, std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
    std::optional<Device> device, std::optional<bool>) {
  const c10::DeviceGuard guard(chosen(device));
  return at::detail::empty_strided_generic(
      size, stride, &allocator, c10::DispatchKeySet(c10::DispatchKey::XPU), c10::dtype_or_default(dtype));
}

// The same memory seen as a CPU tensor. Valid as long as `t` is.
Tensor on_host(const Tensor& t) {
  if (!t.device().is_xpu()) return t;
  if (t.numel() == 0) return at::detail::empty_strided_cpu(t.sizes(), t.strides(), t.scalar_type());
  Tensor host = at::from_blob(t.data_ptr(), t.sizes(), t.strides(), t.options().device(at::kCPU));
  host._set_conj(t.is_conj());
  host._set_neg(t.is_neg());
  return host;
}

Tensor& copy_(Tensor& self, const Tensor& source, bool) {
  before_kernel();
  on_host(self).copy_(on_host(source));
  return self;
}

Tensor copy_from(const Tensor& source, const Tensor& to, bool) {
  before_kernel();
  on_host(to).copy_(on_host(source));
  return to;
}

Tensor copy_from_and_resize(const Tensor& source, const Tensor& to) {
  if (to.sizes() != source.sizes()) to.resize_(source.sizes());
  return copy_from(source, to, false);
}

Tensor& set_empty(Tensor& self) {
  const c10::DeviceGuard guard(self.device());
  at::Storage storage(at::Storage::use_byte_size_t(), 0, allocator.allocate(0), &allocator, true);
  return at::native::set_storage_cpu_(self, storage, 0, {0}, {});
}

// A CPU build of PyTorch has no slot for XPU where this operator chooses among fused kernels: the mathematical form it is.
Tensor attention(
    const Tensor& query, const Tensor& key, const Tensor& value, const std::optional<Tensor>& mask, double dropout, bool causal,
    std::optional<double> scale, bool grouped) {
  std::optional<Tensor> bias = mask;
  if (mask && mask->defined() && mask->scalar_type() == at::kBool)
    bias = at::zeros_like(*mask, query.options()).masked_fill_(mask->logical_not(), -std::numeric_limits<double>::infinity());
  return std::get<0>(at::_scaled_dot_product_attention_math(
      query, key, value, bias, dropout, causal, std::nullopt, scale, grouped));
}

// IPEX: self * other + accumu * alpha. Registered for XPU alone, so CPU tensors get PyTorch's own refusal.
Tensor mul_add(const Tensor& self, const Tensor& other, const Tensor& accumu, const at::Scalar& alpha) {
  return self.mul(other).add(accumu, alpha);
}

// Tensors of other devices that an operator accepts on hardware too: indices of an indexing operator.
const std::set<std::string> takes_cpu_indices{
    "aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_", "aten::_unsafe_index", "aten::_unsafe_index_put"};
const std::set<std::string> matmul_names{"aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "aten::mv", "aten::addmv",
                                         "aten::dot", "aten::addmm_", "aten::baddbmm_", "aten::addmv_"};

// The boxed fallback would quietly move CPU tensors over; hardware refuses them, with this sentence.
void refuse_mixed_devices(const c10::OperatorHandle& op, const torch::jit::Stack& stack) {
  const auto& arguments = op.schema().arguments();
  const auto values = torch::jit::last(stack, arguments.size());
  const bool indices_may_differ = takes_cpu_indices.count(op.schema().name()) > 0;
  const std::string method =
      "wrapper_XPU_" + op.schema().overload_name() + "_" + op.schema().name().substr(op.schema().name().find("::") + 2);
  std::optional<Device> common;
  const auto visit = [&](const Tensor& t, size_t argument, bool check) {
    if (!t.defined() || (t.device().is_cpu() && t.dim() == 0)) return;
    if (!check) {
      if (!common && t.device().is_xpu()) common = t.device();
      return;
    }
    if (indices_may_differ && t.device().is_cpu() && arguments[argument].name() == "indices") return;
    c10::impl::check_and_update_common_device(common, t, method.c_str(), arguments[argument].name().c_str());
  };
  for (const bool check : {false, true}) { // first find the device, then hold the others to it
    for (size_t i = 0; i < values.size(); ++i) {
      if (values[i].isTensor()) {
        visit(values[i].toTensor(), i, check);
      } else if (values[i].isTensorList()) {
        for (const Tensor& t : values[i].toTensorList()) visit(t, i, check);
      } else if (values[i].isOptionalTensorList()) {
        for (const std::optional<Tensor>& t : values[i].toOptionalTensorList())
          if (t) visit(*t, i, check);
      }
    }
  }
}

void fallback(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  refuse_mixed_devices(op, *stack);
  const bool matmul = matmul_names.count(op.schema().name()) > 0;
  before_kernel();
  if (matmul) before_matmul();
  at::native::cpu_fallback(op, stack);
  if (fault == "wrong-" + op.schema().name().substr(6)) stack->back().toTensor().add_(1); // without its `aten::`
  if (!matmul) return;
  if (fault == "nan-rows") {
    Tensor rows = stack->back().toTensor();
    if (rows.dim() >= 2 && rows.numel() == rows.size(-1) * fault_after) rows.fill_(std::numeric_limits<double>::quiet_NaN());
  }
  if (matmuls <= fault_after) return;
  Tensor result = stack->back().toTensor();
  if (fault == "nan") result.fill_(std::numeric_limits<double>::quiet_NaN());
  if (fault == "wrong") result.mul_(1.1).add_(0.1);
  if (fault == "cpu-result") stack->back() = result.cpu();
}

TORCH_LIBRARY_IMPL(_, XPU, m) {
  m.fallback(torch::CppFunction::makeFromBoxedFunction<&fallback>());
}

TORCH_LIBRARY_IMPL(aten, XPU, m) {
  m.impl("empty.memory_format", TORCH_FN(empty));
  m.impl("empty_strided", TORCH_FN(empty_strided));
  m.impl("copy_", TORCH_FN(copy_));
  m.impl("_copy_from", TORCH_FN(copy_from));
  m.impl("_copy_from_and_resize", TORCH_FN(copy_from_and_resize));
  m.impl("resize_", TORCH_FN(at::native::resize_));
  m.impl("set_", TORCH_FN(set_empty));
  m.impl("set_.source_Storage", TORCH_FN(static_cast<Tensor& (*)(Tensor&, at::Storage)>(at::native::set_)));
  m.impl("set_.source_Storage_storage_offset", TORCH_FN(at::native::set_storage_cpu_));
  m.impl("set_.source_Tensor", TORCH_FN(at::native::set_tensor_));
  // Views share memory; the fallback would copy.
  m.impl("as_strided", TORCH_FN(at::native::as_strided_tensorimpl));
  m.impl("view", TORCH_FN(at::native::view));
  m.impl("_reshape_alias", TORCH_FN(at::native::_reshape_alias));
  m.impl("unfold", TORCH_FN(at::native::unfold));
  m.impl("view_as_real", TORCH_FN(at::native::view_as_real));
  m.impl("view_as_complex", TORCH_FN(at::native::view_as_complex));
  m.impl("scaled_dot_product_attention", TORCH_FN(attention));
  // The functional matmuls by name, so that a fault can replace the tensor that they return.
  for (const char* name : {"mm", "addmm", "bmm", "baddbmm"})
    m.impl(name, torch::CppFunction::makeFromBoxedFunction<&fallback>());
}

TORCH_LIBRARY_IMPL(aten, AutogradXPU, m) { // a composite of differentiable operators
  m.impl("scaled_dot_product_attention", TORCH_FN(attention));
}

TORCH_LIBRARY_FRAGMENT(torch_ipex, m) {
  m.def("mul_add(Tensor self, Tensor other, Tensor accumu, Scalar alpha) -> Tensor");
}

TORCH_LIBRARY_IMPL(torch_ipex, XPU, m) {
  m.impl("mul_add", TORCH_FN(mul_add));
}

} // namespace

PYBIND11_MODULE(native, m) {
  m.def("configure", [](const std::vector<int64_t>& totals, const std::vector<int64_t>& limits, const std::string& name, int64_t after) {
    memory.assign(totals.size(), Memory{});
    for (size_t i = 0; i < totals.size(); ++i) {
      memory[i].total = totals[i];
      memory[i].refuse_above = limits[i];
    }
    fault = name;
    fault_after = after;
    // Runs after Python has finished, as the teardown of a real driver does.
    if (fault == "crash-exit") std::atexit([] { std::abort(); });
  });
  m.def("device_count", [] { return static_cast<int>(device_count()); });
  m.def("current_device", [] { return static_cast<int>(current_index); });
  m.def("exchange_device", [](int index) { // a negative index changes nothing, as in torch.xpu
    const int before = current_index;
    if (index >= 0) current_index = checked(static_cast<DeviceIndex>(index));
    return before;
  });
  m.def("synchronize", [] { fail_if_lost(); });
  m.def("memory", [](int index) {
    std::lock_guard<std::mutex> hold(memory_lock);
    const Memory& m = memory[checked(static_cast<DeviceIndex>(index))];
    return std::map<std::string, int64_t>{{"total", m.total}, {"limit", m.refuse_above}, {"current", m.current},
                                          {"peak", m.peak}, {"allocated", m.allocated}, {"freed", m.freed}};
  });
  m.def("reset_peak", [](int index) {
    std::lock_guard<std::mutex> hold(memory_lock);
    Memory& m = memory[checked(static_cast<DeviceIndex>(index))];
    m.peak = m.current;
  });
  m.def("kernels", [] { return kernels.load(); });
  m.def("matmuls", [] { return matmuls.load(); });
  m.def("crash", &crash);
  m.def("hang", &hang);
}
