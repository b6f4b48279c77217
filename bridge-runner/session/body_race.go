// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build race

package session

// overwriteReleased makes release overwrite the buffer. So the race detector, and every test that
// compares payloads, finds a use of the payload after its release.
const overwriteReleased = true
