// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/draft"
)

// numbered returns the numbers from 1 to n, each by the format.
func numbered(n int, format string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.ReplaceAll(format, "%d", strconv.Itoa(i+1)))
	}
	return b.String()
}

// largeCases are configurations with many objects. A parser or an importer once compared each object
// to all objects before it.
var largeCases = map[string]string{
	"nanomq: bridges of the same name": "bridges.mqtt.nodes = [" + strings.Repeat("{ name = a }\n", 4000) + "]",
	"nanomq: list in one line":         `bridges.mqtt.b { server = "mqtt-tcp://h:1", forwards = [` + numbered(8000, "a%d,") + "] }",
	"nanomq: keys":                     `bridges.mqtt.b { server = "mqtt-tcp://h:1"` + "\n" + numbered(8000, "k%d = 1\n") + "}",
	"mosquitto: connections":           numbered(4000, "connection c%d\n"),
	"mosquitto: topics":                "connection c\naddress h\n" + numbered(4000, "topic t%d out\n"),
	"mosquitto: words of a topic":      "connection c\naddress h\ntopic a out 0 " + strings.Repeat("b ", 32000),
	"emqx: rules": "connectors.mqtt.c { server = h }\n" +
		numbered(1000, "rule_engine.rules.r%d { sql = \"SELECT * FROM \\\"a\\\"\", actions = [\"mqtt:u%d\"] }\n") +
		numbered(1000, "actions.mqtt.u%d { connector = c, parameters { topic = t%d } }\n"),
	"hivemq-edge: bridges": "<hivemq><mqtt-bridges>" + strings.Repeat("<mqtt-bridge><id>b</id></mqtt-bridge>\n", 1500) + "</mqtt-bridges></hivemq>",
}

func TestImport_LargeFile_EndsWithin20Seconds(t *testing.T) {
	for name, text := range largeCases {
		t.Run(name, func(t *testing.T) {
			format, _, _ := strings.Cut(name, ":")
			start := time.Now()
			_, _ = Import([]byte(text), format, &draft.Options{Names: map[string]bool{}})
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("import of %d bytes took %v", len(text), took)
			}
		})
	}
}
