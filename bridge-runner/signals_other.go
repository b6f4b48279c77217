// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package main

import "context"

// handleSignals does nothing: the system has no such signals.
func (*group) handleSignals(context.Context) {}
