// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package outages

// Network namespaces exist on Linux only.
func isolated() bool { return false }

func isolate() (code int, entered bool, err error) { return 0, false, nil }

func furnish() error { return nil }
