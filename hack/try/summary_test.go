// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

// published returns the ledger of n acknowledged messages.
func published(n uint64) traffic.Ledger {
	l := traffic.Ledger{Sent: n, Acknowledged: map[uint64]time.Time{}}
	for seq := uint64(1); seq <= n; seq++ {
		l.Acknowledged[seq] = time.Now()
	}
	return l
}

// receive records messages with these numbers at a server.
func receive(a *arrivals, server string, numbers ...uint64) {
	for _, seq := range numbers {
		a.add(server, traffic.Message{Stream: stream, Seq: seq, Sent: time.Now()}.Encode(payloadSize))
	}
}

func TestVerdict_MessageMissing_IsAnErrorWithItsNumber(t *testing.T) {
	a := newArrivals()
	receive(a, "cloud-1", 1, 2)
	receive(a, "cloud-2", 4)
	report := traffic.Compare(published(4), a.list())
	err := verdict(report, nil)
	if err == nil || err.Error() != "1 of 4 messages are lost, the first one has the number 3" {
		t.Errorf("the verdict is %v", err)
	}
	if text := summary(report, gaps{}, 500); !strings.Contains(text, "  lost               1") {
		t.Errorf("the summary does not show the lost message:\n%s", text)
	}
}

func TestVerdict_MessageArrivedTwice_IsCountedAndNoError(t *testing.T) {
	a := newArrivals()
	receive(a, "cloud-1", 1, 2)
	receive(a, "cloud-2", 2, 3)
	a.add("cloud-2", []byte("a message of another publisher"))
	report := traffic.Compare(published(3), a.list())
	if err := verdict(report, nil); err != nil {
		t.Errorf("the verdict is %v", err)
	}
	if report.Duplicates != 1 || report.Arrived != 3 {
		t.Errorf("%d duplicated and %d arrived, want 1 and 3", report.Duplicates, report.Arrived)
	}
	if different, from := a.counts("cloud-2"); different != 3 || from != 2 {
		t.Errorf("%d different messages and %d from cloud-2, want 3 and 2", different, from)
	}
}
