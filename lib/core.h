/* Core files: none of a process that holds a run's key. */
#ifndef DSTRAIN_LIB_CORE_H
#define DSTRAIN_LIB_CORE_H

/* From here on this process and its children leave no core file, unless DSTRAIN_CORE is "yes". */
void core_forbid(void);

#endif
