// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package session

// smallestBody is the size of the smallest body that has a buffer of its own, in bytes.
const smallestBody = minBody

// bodyUse checks the use of a buffer in programs with the race detector.
type bodyUse struct{}

func (bodyUse) begin([]byte) {}

func (bodyUse) end([]byte) {}
