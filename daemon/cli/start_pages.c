#include "start_pages.h"
#include <link.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

/* Has the loader written into its code? Such pages are not those of the file. */
static bool has_written_code(const struct dl_phdr_info *info)
{
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type != PT_DYNAMIC)
            continue;
        const ElfW(Dyn) *d = (const ElfW(Dyn) *)(info->dlpi_addr + p->p_vaddr);
        for (; d->d_tag != DT_NULL; d++)
            if (d->d_tag == DT_TEXTREL || (d->d_tag == DT_FLAGS && (d->d_un.d_val & DF_TEXTREL)))
                return true;
    }
    return false;
}

static int release_object(struct dl_phdr_info *info, size_t size, void *arg)
{
    ElfW(Addr) page = (ElfW(Addr))sysconf(_SC_PAGESIZE);
    (void)size;
    (void)arg;
    if (has_written_code(info))
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type != PT_LOAD || (p->p_flags & PF_W))
            continue;
        ElfW(Addr) begin = (info->dlpi_addr + p->p_vaddr) & ~(page - 1);
        ElfW(Addr) end = (info->dlpi_addr + p->p_vaddr + p->p_filesz + page - 1) & ~(page - 1);
        /* What cannot be released stays: nothing else depends on it. */
        (void)madvise((void *)begin, end - begin, MADV_DONTNEED);
    }
    return 0;
}

void start_pages_release(void)
{
    dl_iterate_phdr(release_object, NULL);
}
