// SPDX-License-Identifier: Apache-2.0
#ifndef AW_SIGNALS_H
#define AW_SIGNALS_H

// From now on faulthandler.enable(), faulthandler.disable() and signal.signal() leave engines' signal handlers where they are.
// Call it whenever an engine was made; cheap after the first time. 0, or -1 with an exception.
int signals_watch_python(void);

#endif
