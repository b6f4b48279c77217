// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

func TestBound_WideSchemas_AreNarrowed(t *testing.T) {
	text := `size:
  ` + wideQuantity + `
  x-kubernetes-int-or-string: true
since:
  format: date-time
  type: string
time:
  description: |-
    a time

    with microseconds
  format: date-time
  type: string
port:
  description: a port
  x-kubernetes-int-or-string: true
`
	want := `size:
  ` + quantity + `
  x-kubernetes-int-or-string: true
since:
  format: date-time
  ` + clock + `
  type: string
time:
  description: |-
    a time

    with microseconds
  format: date-time
  ` + microClock + `
  type: string
port:
  description: a port
  maximum: 2147483647
  minimum: -2147483648
  x-kubernetes-int-or-string: true
`
	got := bound(text)
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if again := bound(got); again != got {
		t.Errorf("the second time\n%s\nwant\n%s", again, got)
	}
}
