/* Which build of dstrain this process is: the linker's note, as nothing is cheaper to read. */
#define _GNU_SOURCE /* dl_iterate_phdr */
#include "lib/build.h"

#include <elf.h>
#include <link.h>
#include <stdio.h>
#include <string.h>

#include "lib/error.h"

/* elf(5): three words, then name and content, each padded to four bytes. */
static size_t padded(size_t length)
{
	return (length + 3) & ~(size_t)3;
}

static void read_notes(const unsigned char *at, size_t left, char hex[DIGEST_HEX])
{
	ElfW(Nhdr) note;

	while (left >= sizeof(note)) {
		size_t name, whole;

		memcpy(&note, at, sizeof(note));
		name = padded(note.n_namesz);
		whole = sizeof(note) + name + padded(note.n_descsz);
		if (whole > left)
			return;
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof(ELF_NOTE_GNU) &&
		    memcmp(at + sizeof(note), ELF_NOTE_GNU, sizeof(ELF_NOTE_GNU)) == 0)
			for (size_t i = 0; i < note.n_descsz && 2 * i + 2 < DIGEST_HEX; i++)
				snprintf(hex + 2 * i, 3, "%02x",
					 (unsigned)at[sizeof(note) + name + i]);
		at += whole;
		left -= whole;
	}
}

static int look_into(struct dl_phdr_info *object, size_t size, void *hex)
{
	(void)size;
	for (size_t i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &object->dlpi_phdr[i];

		if (part->p_type == PT_NOTE)
			read_notes((const unsigned char *)(uintptr_t)(object->dlpi_addr +
								      part->p_vaddr),
				   part->p_memsz, hex);
	}
	return 1; /* the program comes first, and libraries are not asked */
}

void build_id(char hex[DIGEST_HEX])
{
	struct error ignored;

	hex[0] = '\0';
	dl_iterate_phdr(look_into, hex);
	if (!hex[0] && digest_file(hex, "/proc/self/exe", &ignored) < 0)
		hex[0] = '\0';
}
