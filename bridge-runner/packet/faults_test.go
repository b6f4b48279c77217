// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"slices"
	"testing"
)

func TestFaultLabels_EachFault_HasALabelOfTheList(t *testing.T) {
	found := map[string]bool{}
	for bit := range 64 {
		label := Faults(1 << bit).Label()
		if found[label] = true; !slices.Contains(FaultLabels, label) {
			t.Errorf("bit %d has the label %q, which is not in the list", bit, label)
		}
	}
	for _, label := range FaultLabels {
		if !found[label] {
			t.Errorf("no fault has the label %q", label)
		}
	}
}
