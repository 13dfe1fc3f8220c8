/* Every data format there is. A new one is a file of its own and one word here. */
#include "lib/registry.h"
#include "runtime/data/data.h"

#define FORMATS(X) \
	X(idx) X(csv) X(libsvm) X(cifar10) X(cifar100) X(npy) X(tokens) X(text) X(synthetic)

#define FORMAT_DECLARATION(name) extern const struct data_format format_##name;
#define FORMAT_ENTRY(name)	 &format_##name.entry,
FORMATS(FORMAT_DECLARATION)

const struct registry data_formats = {
	.category = "data",
	.noun = "data format",
	.entries = (const struct entry *const[]){ FORMATS(FORMAT_ENTRY) NULL },
};
