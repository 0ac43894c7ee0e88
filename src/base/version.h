/* version.h - the version of this program, as OIP metadata, --version and /metrics say it. */
#ifndef SLIPWAY_BASE_VERSION_H
#define SLIPWAY_BASE_VERSION_H

#define SLIPWAY_VERSION "0.1.0"

#endif
