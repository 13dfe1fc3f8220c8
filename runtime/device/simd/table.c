/* All kernels of one instruction set. */
#include "runtime/device/simd/simd.h"

#define QUOTE(x)			  #x
#define NAME_OF(x)			  QUOTE(x)
#define KERNEL_ROW(type, name, arguments) .name = KERNEL(name),

extern const struct kernels KERNEL(kernels);

const struct kernels KERNEL(kernels) = { .isa = NAME_OF(ISA), KERNELS(KERNEL_ROW) };
