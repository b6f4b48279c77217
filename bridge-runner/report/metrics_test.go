// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/delivery"
)

func TestEveryMetricIsDocumentedAndNoOtherIs(t *testing.T) {
	data, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, found := range regexp.MustCompile("(?m)^\\| `(mqttbridge_[a-z0-9_]+)`").FindAllStringSubmatch(string(data), -1) {
		documented[found[1]] = true
	}
	descriptions := make(chan *prometheus.Desc, 1000)
	m := NewMetrics()
	m.Backlog(LocalToRemote, func() delivery.Backlog { return delivery.Backlog{} })
	m.registry.Describe(descriptions)
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
