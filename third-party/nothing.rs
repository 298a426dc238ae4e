// SPDX-License-Identifier: Apache-2.0
// Cargo.toml needs a target; nothing is compiled from it.
