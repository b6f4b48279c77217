// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/draft"
)

// The source of a program decides what a key means, and what applies if the key is missing. Each
// case has the parts that the manifest and the findings must contain, or must not contain.
func TestImport_MeaningOfKeys_IsThatOfTheProgram(t *testing.T) {
	for name, c := range programCases {
		t.Run(name, func(t *testing.T) {
			format, _, _ := strings.Cut(name, ":")
			result, err := Import([]byte(c.text), format, &draft.Options{Names: map[string]bool{}})
			if err != nil {
				t.Fatal(err)
			}
			got := resultText(t, result)
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("the result lacks %q:\n%s", want, got)
				}
			}
			for _, not := range c.not {
				if strings.Contains(got, not) {
					t.Errorf("the result has %q:\n%s", not, got)
				}
			}
		})
	}
}

// resultText returns the manifests, and each finding in a line of its own.
func resultText(t *testing.T, result *Result) string {
	t.Helper()
	var out strings.Builder
	for _, f := range result.Findings {
		out.WriteString(f.String() + "\n")
	}
	for _, b := range result.Bridges {
		for _, f := range b.Findings {
			out.WriteString(f.String() + "\n")
		}
		if b.Has(draft.Refused) {
			continue
		}
		b.Findings = nil
		text, err := YAML(b, "file", true)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(text)
	}
	return out.String()
}

type programCase struct {
	text      string
	want, not []string
}

const emqxLegacy = `bridges.mqtt.b {
  server = "broker.example:1883"
  `

const emqxConnector = `connectors.mqtt.c { server = "broker.example:1883" }
`

const emqxSource = emqxConnector + `sources.mqtt.down { connector = c, parameters { topic = "down/#", qos = 1 } }
rule_engine.rules.r {
  sql = "SELECT * FROM \"$bridges/mqtt:down\""
  actions = [{function = republish, args { topic = "cloud/${topic}"`

var programCases = map[string]programCase{
	// emqx_bridge_mqtt_connector_schema: the fields of ingress_local and egress_remote differ in
	// their defaults.
	"emqx: ingress keeps the retain flag": {
		text: emqxLegacy + `ingress { remote { topic = "down/#" }, local { topic = "cloud/${topic}", payload = "${payload}" } } }`,
		want: []string{`filter: "down/#"`}, not: []string{"retain: Clear", "payload"},
	},
	"emqx: egress clears the retain flag and raises the QoS": {
		text: emqxLegacy + `egress { local { topic = "up/#" }, remote { topic = "${topic}" } } }`,
		want: []string{"retain: Clear", "qos: changed: EMQX gives every message QoS 1", "payload: changed"},
	},
	"emqx: ingress subscribes with QoS 1": {
		text: emqxLegacy + `ingress { remote { topic = "down/#" }, local { topic = "${topic}", qos = "${qos}" } } }`,
		want: []string{"qos: 1\n"}, not: []string{"qos: 2"},
	},
	"emqx: ingress lowers QoS 2": {
		text: emqxLegacy + `ingress { remote { topic = "down/#", qos = 2 }, local { topic = "${topic}", qos = "${qos}" } } }`,
		want: []string{"qos: 2\n", "bridges.mqtt.b.ingress.remote.qos: note: "},
	},
	// emqx_rule_engine_schema: republish_args.
	"emqx: republish keeps QoS, retain flag and payload": {
		text: emqxSource + ` }}] }`,
		want: []string{`topic: "cloud/${topic}"`, "qos: 1\n"}, not: []string{"retain: Clear", "payload"},
	},
	"emqx: republish with properties of its own": {
		text: emqxSource + `, mqtt_properties { "Message-Expiry-Interval" = "60" }, user_properties = "${payload.props}", direct_dispatch = true }}] }`,
		want: []string{"mqtt_properties.Message-Expiry-Interval: left out: ", "user_properties: left out: ", "direct_dispatch: left out: "},
	},
	"emqx: republish with the default properties": {
		text: emqxSource + `, mqtt_properties {}, user_properties = "${user_properties}", direct_dispatch = false }}] }`,
		not:  []string{"properties", "direct_dispatch"},
	},
	"emqx: placeholders with a dot": {
		text: emqxLegacy + `egress { local { topic = "up/#" }, remote { topic = "plant/${.topic}", qos = "${.qos}", retain = "${.retain}", payload = "${.payload}" } } }`,
		want: []string{`topic: "plant/${topic}"`, "qos: 2\n"}, not: []string{"left out", "changed", "retain"},
	},
	// Releases from 5.4 turn ingress and egress into sources and actions with parameters.local.
	"emqx: source with a local topic": {
		text: emqxConnector + `sources.mqtt.down { connector = c, parameters { topic = "down/#", qos = 1, local { topic = "cloud/${topic}", qos = "${qos}", retain = "${retain}", payload = "${payload}" } } }`,
		want: []string{`filter: "down/#"`, `topic: "cloud/${topic}"`, "qos: 1\n"}, not: []string{"left out"},
	},
	"emqx: action with the local topic twice": {
		text: emqxConnector + `actions.mqtt.up { connector = c, local_topic = "up/#", parameters { local { topic = "up/#" }, topic = "${topic}", qos = "${qos}", retain = "${retain}", payload = "${payload}" } }`,
		want: []string{`filter: "up/#"`}, not: []string{"left out", "unknown"},
	},
	"emqx: no_local": {
		text: emqxConnector + `sources.mqtt.down { connector = c, parameters { topic = "down/#", no_local = true, local { topic = "cloud/${topic}", payload = "${payload}" } } }`,
		want: []string{"sources.mqtt.down.parameters.no_local: left out: "}, not: []string{"unknown"},
	},
	// emqx_schema: the default of verify is verify_none, and a duration without a unit is in milliseconds.
	"emqx: TLS without verification": {
		text: emqxLegacy + `ssl { enable = true, cacertfile = "/ca.pem" }
  egress { local { topic = "up/#" }, remote { topic = "${topic}" } } }`,
		want: []string{"bridges.mqtt.b.ssl.verify: changed: EMQX verifies no certificate"},
	},
	"emqx: TLS with verification": {
		text: emqxLegacy + `ssl { enable = true, verify = verify_peer, server_name_indication = disable }
  egress { local { topic = "up/#" }, remote { topic = "${topic}" } } }`,
		want: []string{"bridges.mqtt.b.ssl.server_name_indication: left out: "}, not: []string{"ssl.verify:"},
	},
	"emqx: keepalive without a unit": {
		text: emqxLegacy + `keepalive = 45000
  egress { local { topic = "up/#" }, remote { topic = "${topic}" } } }`,
		want: []string{"keepAliveSeconds: 45\n"},
	},
	"emqx: static client identifier with a user": {
		text: `connectors.mqtt.c { server = "broker.example:1883", static_clientids = [{node = "n", ids = [{clientid = plant, username = u, password = p}]}] }
actions.mqtt.up { connector = c, local_topic = "up/#", parameters { topic = "${topic}" } }`,
		want: []string{"clientID: plant", "static_clientids: left out: "},
	},
}
