// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/delivery"
)

func TestMetrics_Names_MatchDocumentation(t *testing.T) {
	data, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, found := range regexp.MustCompile("(?m)^\\| `(mqttbridge_[a-z0-9_]+)`").FindAllStringSubmatch(string(data), -1) {
		// The operator has these metrics; package controllers tests them.
		if !strings.HasPrefix(found[1], "mqttbridge_operator_") && !strings.HasPrefix(found[1], "mqttbridge_bridge_") {
			documented[found[1]] = true
		}
	}
	descriptions := make(chan *prometheus.Desc, 1000)
	registry := registryOf(NewMetrics())
	(&Registry{registry}).AddHost(func() float64 { return 0 }, func() float64 { return 0 })
	(&Registry{registry}).AddMember(nil)
	registry.Describe(descriptions)
	close(descriptions)
	name := regexp.MustCompile(`fqName: "([^"]+)"`)
	for d := range descriptions {
		n := name.FindStringSubmatch(d.String())[1]
		if strings.HasPrefix(n, "mqttbridge_") && !documented[n] {
			t.Errorf("%s is not documented", n)
		}
		delete(documented, n)
	}
	for n := range documented {
		t.Errorf("%s is documented and does not exist", n)
	}
}

func TestMeter_UnroutedMessages_LoggedRarelyWithRemedy(t *testing.T) {
	var log bytes.Buffer
	late := Async(slog.New(slog.NewTextHandler(&log, nil)))
	meter := NewMetrics().Meter(LocalToRemote, nil, late)
	for _, cause := range []string{delivery.DropNoRule, delivery.DropInvalidTopic} {
		for range 100 {
			meter.Unrouted("some/topic", cause, `"a/#", "b/+"`)
		}
	}
	FlushAsync(late, time.Minute)
	if n := strings.Count(log.String(), "\n"); n != 2 {
		t.Errorf("%d lines for 200 messages of two causes", n)
	}
	for _, want := range []string{"topic=some/topic", "cause=no_rule", "cause=invalid_topic", "b/+", "cleanSession: true", "change the rule's topic"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q: %s", want, &log)
		}
	}
}
