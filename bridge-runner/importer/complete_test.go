// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/draft"
)

// completeCases are configurations of a format with @ at each place at which another key may be.
var completeCases = map[string]string{
	"nanomq: bridges": `bridges.mqtt.b { @
  server = "tls+mqtt-tcp://broker.example:8883", username = "u", password = "p", clientid = "c"
  proto_ver = 5
  ssl { @ cacertfile = "/ca.pem", certfile = "/c.pem", keyfile = "/k.pem" }
  conn_properties { @ session_expiry_interval = 60, user_property { @ a = "b" } }
  will { @ topic = "w", properties { @ content_type = "t" } }
  sub_properties { @ identifier = 1 }
  tcp { @ nodelay = true }
  hybrid_bridging = true
  hybrid_servers = ["mqtt-tcp://two.example:1883"]
  backup_servers = ["mqtt-tcp://three.example:1883"]
  forwards = [{ @ local_topic = "up/#", remote_topic = "", prefix = "a/", suffix = "/z", qos = 1 }]
  subscription = [{ @ remote_topic = "down/#", local_topic = "x", qos = 1 }]
}
bridges.mqtt.cache { @ disk_cache_size = 1 }
bridges.aws.c { @ server = "aws.example:8883", ssl { @ enable = true, cacertfile = "/ca.pem" }, forwards = [{ @ local_topic = "up", remote_topic = "up" }] }
`,
	"nanomq: nodes": `bridges.mqtt.nodes = [{ @
  name = "b", enable = true
  connector { @ server = "tls+mqtt-tcp://broker.example:8883", clientid = "c", ssl { @ enable = true, cacertfile = "/ca.pem" } }
  forwards = ["up/#"], subscription = [{ @ topic = "down/#", qos = 1 }]
}]
`,
	"nanomq: lines": `bridge.mqtt.b.address=mqtt-tcp://broker.example:1883
bridge.mqtt.b.@
bridge.mqtt.b.tls.@
bridge.mqtt.b.will.@
bridge.mqtt.b.connect.@
bridge.mqtt.b.connect.properties.@
bridge.mqtt.b.forwards.1.@
bridge.mqtt.b.forwards.1.local_topic=up
bridge.mqtt.b.forwards.1.remote_topic=
bridge.mqtt.b.subscription.1.@
bridge.mqtt.b.subscription.1.topic=down
bridge.mqtt.b.subscription.properties.@
bridge.sqlite.@
`,
	"mosquitto: connection": `connection b
@
address broker.example
@
topic # out
`,
	"emqx: connectors": `connectors.mqtt.c { @
  server = "broker.example:8883", username = "u", password = "p", static_clientids = [{ @ node = n, ids = [{ @ clientid = "c" }] }]
  resource_opts { @ health_check_interval = "15s" }
  ssl { @ enable = true, verify = "verify_peer", cacertfile = "/ca.pem", server_name_indication = "s" }
}
actions.mqtt.up { @
  connector = c, local_topic = "up/#"
  parameters { @ topic = "a/${topic}", qos = "${qos}", retain = "${retain}", payload = "${payload}", local { @ topic = up } }
  resource_opts { @ query_mode = "sync" }
}
sources.mqtt.down { @
  connector = c
  parameters { @ topic = "down/#", qos = 1, local { @ topic = "b/${topic}", payload = "${payload}" } }
}
sources.mqtt.rule { @ connector = c, parameters { @ topic = "ruled/#", local { @ qos = 1 } } }
rule_engine.rules.r {
  sql = "SELECT * FROM \"$bridges/mqtt:rule\""
  actions = [{ function = "republish", args { @ topic = "c/${topic}", mqtt_properties { @ } } }]
}
`,
	"emqx: bridges": `bridges.mqtt.b { @
  server = "broker.example:1883"
  egress { @ local { @ topic = "up/#" }, remote { @ topic = "${topic}", payload = "${payload}" } }
  ingress { @ remote { @ topic = "down/#" }, local { @ topic = "b/${topic}", payload = "${payload}" } }
}
`,
	"hivemq-edge: config.xml": `<hivemq><mqtt-bridges>@
<mqtt-bridge>@<id>b</id>
  <remote-broker>@<host>broker.example</host>
    <mqtt>@<client-id>c</client-id></mqtt>
    <authentication>@<mqtt-simple-authentication>@<username>u</username><password>p</password></mqtt-simple-authentication></authentication>
    <tls>@<enabled>true</enabled><keystore>@<path>/k</path></keystore><truststore>@</truststore><protocols>@</protocols><cipher-suites>@</cipher-suites></tls>
    <websocket>@<enabled>true</enabled><server-path>/mqtt</server-path></websocket>
  </remote-broker>
  <forwarded-topics>@<forwarded-topic>@
    <filters>@<mqtt-topic-filter>a/#</mqtt-topic-filter></filters><destination>x/{#}</destination>
    <excludes>@<mqtt-topic-filter>a/b</mqtt-topic-filter></excludes>
    <custom-user-properties>@<user-property>@<key>k</key><value>v</value></user-property></custom-user-properties>
  </forwarded-topic></forwarded-topics>
  <remote-subscriptions>@<remote-subscription>@<filters>@<mqtt-topic-filter>b/#</mqtt-topic-filter></filters></remote-subscription></remote-subscriptions>
  <loop-prevention>@</loop-prevention>
</mqtt-bridge></mqtt-bridges></hivemq>`,
}

// A key that the import does not know is named, in each object of a bridge.
func TestImport_UnknownKey_IsNamedInEachObject(t *testing.T) {
	for name, text := range completeCases {
		format, _, _ := strings.Cut(name, ":")
		parts := strings.Split(text, "@")
		for n := 1; n < len(parts); n++ {
			before, after := strings.Join(parts[:n], ""), strings.Join(parts[n:], "")
			key := map[string]string{"nanomq": "zzz = 1\n", "emqx": "zzz = 1\n", "mosquitto": "zzz 1", "hivemq-edge": "<zzz>1</zzz>"}[format]
			if name == "nanomq: lines" {
				key = "zzz=1"
				before, after = keptLines(before), keptLines(after)
			}
			result, err := Import([]byte(before+key+after), format, &draft.Options{Names: map[string]bool{}})
			if err != nil {
				t.Errorf("%s: %v in\n%s", name, err, before+key+after)
				continue
			}
			if !namesKey(result, "zzz") {
				findings, _ := resultText(t, result)
				t.Errorf("%s: no finding names the key zzz in\n%s%s%s\nthe findings are\n%s", name, before, key, after, findings)
			}
		}
	}
}

// keptLines drops the lines of the format with lines that have no key.
func keptLines(text string) string {
	return regexp.MustCompile(`(?m)^.*[.]\n`).ReplaceAllString(text, "")
}

// namesKey reports whether a finding names a key.
func namesKey(result *Result, key string) bool {
	findings := result.Findings
	for _, b := range result.Bridges {
		findings = append(findings, b.Findings...)
	}
	return slices.ContainsFunc(findings, func(f draft.Finding) bool { return strings.Contains(f.Key, key) })
}

// A value that is set outside the file is not in the manifest, and gives a finding.
func TestImport_ValueOutsideTheFile_GivesAFindingAndNoField(t *testing.T) {
	values := map[string]*regexp.Regexp{
		"nanomq": regexp.MustCompile(`"[^"\n]*"`), "emqx": regexp.MustCompile(`"([^"\\\n]|\\.)*"`), "hivemq-edge": regexp.MustCompile(`>[^<>\s]+<`),
	}
	for name, text := range completeCases {
		format, _, _ := strings.Cut(name, ":")
		if values[format] == nil || name == "nanomq: lines" {
			continue
		}
		text = strings.ReplaceAll(text, "@", "")
		complete, err := Import([]byte(text), format, &draft.Options{Names: map[string]bool{}})
		if err != nil {
			t.Fatal(err)
		}
		usual, usualManifests := resultText(t, complete)
		for _, at := range values[format].FindAllStringIndex(text, -1) {
			outside := "${OUTSIDE}"
			if format == "hivemq-edge" {
				outside = ">${ENV:OUTSIDE}<"
			}
			result, err := Import([]byte(text[:at[0]]+outside+text[at[1]:]), format, &draft.Options{Names: map[string]bool{}})
			if err != nil {
				continue // the message has the line
			}
			findings, manifests := resultText(t, result)
			if strings.Contains(manifests, "OUTSIDE") || findings == usual && manifests != usualManifests {
				t.Errorf("%s: with %s instead of %s, the findings are\n%s\nand the manifests\n%s", name, outside, text[at[0]:at[1]], findings, manifests)
			}
		}
	}
}
