// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/draft"
)

// The source of a program decides the meaning of a key, also if the key is missing. Each
// case has the parts that the manifest and the findings must contain, or must not contain.
func TestImport_MeaningOfKeys_IsThatOfTheProgram(t *testing.T) {
	for name, c := range programCases {
		t.Run(name, func(t *testing.T) {
			format, _, _ := strings.Cut(name, ":")
			result, err := Import([]byte(c.text), format, &draft.Options{Names: map[string]bool{}})
			if err != nil {
				t.Fatal(err)
			}
			findings, manifests := resultText(t, result)
			got := findings + manifests
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

// resultText returns the findings, one per line, and the manifests without comments.
func resultText(t *testing.T, result *Result) (findings, manifests string) {
	t.Helper()
	var all strings.Builder
	for _, f := range result.Findings {
		findings += f.String() + "\n"
	}
	for _, b := range result.Bridges {
		for _, f := range b.Findings {
			findings += f.String() + "\n"
		}
		if b.Has(draft.Refused) {
			continue
		}
		text, err := YAML(b, "file", true)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if line[0] != '#' {
				all.WriteString(line)
			}
		}
	}
	return findings, all.String()
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
		want: []string{"clientID: plant", "static_clientids.ids.username: left out: "},
	},

	// BridgeMqttClient subscribes with DO_NOT_SEND, and MessageForwarderImpl receives live messages only.
	"hivemq-edge: no retained messages": {
		text: hivemqBridge("", `<filters><mqtt-topic-filter>a/#</mqtt-topic-filter></filters>`, `<filters><mqtt-topic-filter>b/#</mqtt-topic-filter></filters>`),
		want: []string{"  - filter: \"a/#\"\n    qos: 0\n    retain: Clear\n    retainHandling: DoNotSend\n", "  - filter: \"b/#\"\n    qos: 0\n    retain: Clear\n    retainHandling: DoNotSend\n"},
	},
	// PublishDistributorImpl lowers the QoS of forwarded messages to 0.
	"hivemq-edge: persist is off": {
		text: hivemqBridge("<persist>false</persist>", `<max-qos>1</max-qos><filters><mqtt-topic-filter>a/#</mqtt-topic-filter></filters>`, `<max-qos>1</max-qos><filters><mqtt-topic-filter>b/#</mqtt-topic-filter></filters>`),
		want: []string{"persist: note: ", "  - filter: \"a/#\"\n    qos: 0\n", "  - filter: \"b/#\"\n    qos: 1\n"},
	},
	// LoopPreventionEntity is enabled with the limit 1 by default.
	"hivemq-edge: loop prevention by default": {
		text: hivemqBridge("", hivemqFilter, ""), want: []string{"maxHops: 1\n", "loop-prevention: note: "},
	},
	"hivemq-edge: loop prevention with a limit": {
		text: hivemqBridge("<loop-prevention><hop-count-limit>3</hop-count-limit></loop-prevention>", hivemqFilter, ""),
		want: []string{"maxHops: 3\n", "hop-count-limit: changed: "}, not: []string{"loop-prevention: note"},
	},
	// RemoteMqttForwarder drops a message whose count is positive and not below the limit.
	"hivemq-edge: loop prevention with the limit 0": {
		text: hivemqBridge("<loop-prevention><hop-count-limit>0</hop-count-limit></loop-prevention>", hivemqFilter, ""), want: []string{"maxHops: 1\n"},
	},
	"hivemq-edge: loop prevention with a large limit": {
		text: hivemqBridge("<loop-prevention><hop-count-limit>1000</hop-count-limit></loop-prevention>", hivemqFilter, ""), want: []string{"maxHops: 255\n"},
	},
	"hivemq-edge: loop prevention is off": {
		text: hivemqBridge("<loop-prevention><enabled>false</enabled></loop-prevention>", hivemqFilter, ""), not: []string{"maxHops", "loop-prevention"},
	},
	// TopicFilterProcessor.
	"hivemq-edge: levels from a number on": {
		text: hivemqBridge("", `<destination>x/{2-#}</destination><filters><mqtt-topic-filter>a/+/b/#</mqtt-topic-filter><mqtt-topic-filter>c/#</mqtt-topic-filter></filters>`, ""),
		want: []string{`topic: "x/${1}/b/${2}"`, `topic: "x/${1}"`},
	},
	"hivemq-edge: levels from one number to another": {
		text: hivemqBridge("", `<destination>x/{2-3}</destination><filters><mqtt-topic-filter>a/+/b/#</mqtt-topic-filter><mqtt-topic-filter>a/#</mqtt-topic-filter><mqtt-topic-filter>a/b</mqtt-topic-filter></filters>`, ""),
		want: []string{`topic: "x/${1}/b"`, "the rule for a/# was left out: ", "the rule for a/b was left out: "},
	},
	"hivemq-edge: a topic without filters": {
		text: hivemqBridge("", hivemqFilter, "<max-qos>1</max-qos>"), want: []string{"remote-subscription: left out: "},
	},
	"hivemq-edge: values outside the file": {
		text: hivemqBridge("", `<filters><mqtt-topic-filter>a/#</mqtt-topic-filter></filters><excludes><mqtt-topic-filter>${ENV:X}</mqtt-topic-filter></excludes>`,
			`<filters><mqtt-topic-filter>b/#</mqtt-topic-filter></filters><custom-user-properties><user-property><key>k</key><value>${ENV:Y}</value></user-property></custom-user-properties>`),
		want: []string{"excludes.mqtt-topic-filter: left out: the value ${ENV:X}", "user-property.value: left out: the value ${ENV:Y}", `filter: "b/#"`},
		not:  []string{`"a/#"`, "userProperties"},
	},
	// conf.c: conf_bridge_node_init has hybrid off, and bridge.c uses hybrid_servers only if it is on.
	"nanomq: hybrid_servers without hybrid_bridging": {
		text: nanomqBridge + `hybrid_servers = ["mqtt-tcp://two.example:1883"], forwards = [{remote_topic = "", local_topic = "up/#"}] }`,
		want: []string{"hybrid_servers: left out: "}, not: []string{"backups:"},
	},
	// topics.c: a target with wildcards is a part of the filter, and stands for these levels.
	"nanomq: target that is a part of the filter": {
		text: nanomqBridge + `subscription = [
  {remote_topic = "id/zb/+/abv/#", local_topic = "+/abv/#", qos = 0, retain = 0}
  {remote_topic = "id/zb/+/abv/+/#", local_topic = "+", qos = 0, retain = 0}
  {remote_topic = "id/zy/+/abv/#", local_topic = "zy/+", qos = 0, retain = 0}
  {remote_topic = "same/+", local_topic = "same/+", qos = 0, retain = 0}
] }`,
		want: []string{`topic: "${1}/abv/${2}"`, "filter: \"id/zb/+/abv/+/#\"\n    topic: \"${1}\"\n", `topic: "zy/${1}"`, "filter: \"same/+\"\n    qos"}, not: []string{"left out", "wildcards"},
	},
	"nanomq: target that is no part of the filter": {
		text: nanomqBridge + `subscription = [{remote_topic = "site/+/cmd/#", local_topic = "cmd/+/of/#", qos = 0}] }`,
		want: []string{`topic: "cmd/${1}/of/${2}"`, "subscription.local_topic: note: NanoMQ replaces wildcards only if local_topic is a part of remote_topic"},
	},
	// conf_ver2.c: an entry needs both topics.
	"nanomq: entry without the other topic": {
		text: nanomqBridge + `forwards = [{local_topic = "up/#"}, {local_topic = "good", remote_topic = ""}], subscription = [{remote_topic = "down/#", qos = 1}] }`,
		want: []string{"forwards: left out: the entry has no remote_topic", "subscription: left out: the entry has no local_topic", "filter: good"}, not: []string{`"up/#"`, `"down/#"`},
	},
	// conf.c: enable is off unless bridge_mode turns it on.
	"nanomq: lines without bridge_mode": {
		text: "bridge.mqtt.b.address=mqtt-tcp://broker.example:1883\nbridge.mqtt.b.forwards=up/#\n",
		want: []string{"suspend: true", "bridge_mode: note: "},
	},
	// conf.c: get_conf_value returns the rest of the line. atoi reads the number at its beginning. The value of a switch
	// is compared with true.
	"nanomq: lines with comments behind values": {
		text: "bridge.mqtt.b.bridge_mode=true\nbridge.mqtt.b.address=mqtt-tcp://broker.example:1883\nbridge.mqtt.b.keepalive=45 # seconds\nbridge.mqtt.b.proto_ver = 5# version\n" +
			"bridge.mqtt.b.clean_start=true # new session\nbridge.mqtt.b.forwards=up/#\nbridge.mqtt.b.subscription.1.topic=down/#\nbridge.mqtt.b.subscription.1.qos=1\t# at least once\n",
		want: []string{"keepAliveSeconds: 45\n", `protocolVersion: "5"`, "cleanSession: false\n", "line 5: bridge.mqtt.b.clean_start: note: NanoMQ reads the value as false", `filter: "down/#"` + "\n    qos: 1\n"},
		not:  []string{"left out", "keepalive: note", "proto_ver: note", "qos: note"},
	},
	// conf.c: atoi reads the number at the beginning, in seconds. Its unit has no effect.
	"nanomq: lines with times with a unit": {
		text: "bridge.mqtt.b.bridge_mode=true\nbridge.mqtt.b.address=mqtt-tcp://broker.example:1883\nbridge.mqtt.b.forwards=up/#\nbridge.mqtt.b.keepalive=5m\n",
		want: []string{"keepAliveSeconds: 5\n", "line 4: bridge.mqtt.b.keepalive: note: NanoMQ reads 5m as 5 seconds"},
	},
	"nanomq: lines with times in seconds with a unit": {
		text: "bridge.mqtt.b.bridge_mode=true\nbridge.mqtt.b.address=mqtt-tcp://broker.example:1883\nbridge.mqtt.b.forwards=up/#\nbridge.mqtt.b.keepalive=45s\n",
		want: []string{"keepAliveSeconds: 45\n"}, not: []string{"keepalive: note"},
	},
	// get_time of conf.c: a number, and one of the characters s, m and h.
	"nanomq: times with a unit": {
		text: nanomqBridge + `keepalive = 2m, backoff_max = "1h", forwards = [{local_topic = "up/#", remote_topic = ""}] }`,
		want: []string{"keepAliveSeconds: 120\n", "maxSeconds: 3600\n"}, not: []string{"keepalive: note", "backoff_max: note"},
	},
	"nanomq: times with several units": {
		text: nanomqBridge + `keepalive = "1h30m", backoff_max = 60ms, forwards = [{local_topic = "up/#", remote_topic = ""}] }`,
		want: []string{"keepAliveSeconds: 3600\n", "maxSeconds: 3600\n", "keepalive: note: NanoMQ reads 1h30m as 3600 seconds", "backoff_max: note: NanoMQ reads 60ms as 3600 seconds"},
	},
	// conf_ver2.c: hocon_read_time reads only text.
	"nanomq: times without a unit": {
		text: nanomqBridge + `keepalive = 45, forwards = [{local_topic = "up/#", remote_topic = ""}] }`,
		want: []string{"keepAliveSeconds: 45\n", "keepalive: note: NanoMQ does not read a time without the unit s, m or h; the bridge uses 45 seconds"},
	},
	"nanomq: times with an unknown unit": {
		text: nanomqBridge + `keepalive = 1d, forwards = [{local_topic = "up/#", remote_topic = ""}] }`,
		want: []string{"keepalive: note: NanoMQ reads 1d as 0 seconds", "keepalive: left out: the bridge always uses a keep alive"}, not: []string{"keepAliveSeconds"},
	},
	"nanomq: lines with bridge_mode before a comment": {
		text: "bridge.mqtt.b.bridge_mode=true # on\nbridge.mqtt.b.address=mqtt-tcp://broker.example:1883\nbridge.mqtt.b.forwards=up/#\n",
		want: []string{"suspend: true", "line 1: bridge.mqtt.b.bridge_mode: note: NanoMQ reads the value as false"},
	},
	"nanomq: nodes without enable": {
		text: `bridges.mqtt.nodes = [{name = b, connector { server = "mqtt-tcp://broker.example:1883" }, forwards = ["up/#"]}]`,
		want: []string{"suspend: true", "enable: note: "},
	},
	"nanomq: bridge without enable": {
		text: nanomqBridge + `forwards = [{remote_topic = "", local_topic = "up/#"}] }`, not: []string{"suspend"},
	},
	"nanomq: lines with the topics in several lines": {
		text: "bridge.mqtt.b.bridge_mode=true\nbridge.mqtt.b.address=mqtt-tcp://broker.example:1883\nbridge.mqtt.b.forwards=a/#,b/#\nbridge.mqtt.b.forwards=c/#\nbridge.mqtt.b.forwards.1.local_topic=d/#\nbridge.mqtt.b.forwards.1.remote_topic=\n",
		want: []string{`"a/#"`, `"b/#"`, `"c/#"`, `"d/#"`},
	},
	// topics is zeroed, so the bridge of NanoMQ receives live messages without the retain flag.
	"nanomq: MQTT 5 without retain_as_published": {
		text: nanomqBridge + `proto_ver = 5, subscription = [{remote_topic = "down/#", local_topic = "", qos = 1}] }`,
		want: []string{"subscription.retain_as_published: changed: "},
	},
	"nanomq: MQTT 5 with a retain flag": {
		text: nanomqBridge + `proto_ver = 5, subscription = [{remote_topic = "down/#", local_topic = "", qos = 1, retain = 0}, {remote_topic = "b/#", local_topic = "", qos = 1, retain_as_published = 1}] }`,
		not:  []string{"retain_as_published"},
	},
	"nanomq: listener that is off": {
		text: `listeners.tcp { enable = false, bind = "0.0.0.0:1883" }
listeners.ssl { bind = "0.0.0.0:8884" }
` + nanomqBridge + `forwards = [{remote_topic = "", local_topic = "up/#"}] }`,
		want: []string{`url: "mqtts://localhost:8884"`},
	},
	"nanomq: listener with a port outside the file": {
		text: `listeners.tcp.bind = "0.0.0.0:${PORT}"
` + nanomqBridge + `forwards = [{remote_topic = "", local_topic = "up/#"}] }`,
		want: []string{`url: "mqtt://localhost:1883"`},
	},
	// conf.c: protocol, certfile and mount_point belong to the listener before them, and booleans may be 0 and 1.
	"mosquitto: listener for WebSocket before another one": {
		text: "listener 9001\nprotocol websockets\nlistener 1884\nprotocol mqtt\n" + mosquittoBridge, want: []string{`url: "mqtt://localhost:1884"`},
	},
	"mosquitto: listener with TLS": {
		text: "listener 0 /run/mosquitto.sock\nlistener 8884\ncertfile /c.pem\nkeyfile /k.pem\n" + mosquittoBridge, want: []string{`url: "mqtts://localhost:8884"`},
	},
	"mosquitto: listener with TLS before one without": {
		text: "listener 8884\ncertfile /c.pem\nkeyfile /k.pem\n" + mosquittoBridge + "\nlistener 1884\n", want: []string{`url: "mqtt://localhost:1884"`},
	},
	"mosquitto: default listener with TLS": {
		text: "certfile /c.pem\nkeyfile /k.pem\nport 8884\n" + mosquittoBridge, want: []string{`url: "mqtts://localhost:8884"`},
	},
	"mosquitto: listener for WebSocket only": {
		text: "listener 9001\nprotocol websockets\nlistener 8080\nprotocol http_api\n" + mosquittoBridge, want: []string{`url: "ws://localhost:9001"`},
	},
	"mosquitto: listener with a mount point": {
		text: "listener 1884\nmount_point site/\n" + mosquittoBridge, want: []string{`url: "mqtt://localhost:1884"`, "mount_point: note: "},
	},
	"mosquitto: listener with a mount point and one without": {
		text: "listener 1884\nmount_point site/\nlistener 1885\n" + mosquittoBridge, want: []string{`url: "mqtt://localhost:1885"`}, not: []string{"mount_point"},
	},
	"mosquitto: options of the broker that are numbers": {
		text: "listener 1883\nallow_anonymous 0\nqueue_qos0_messages 1\n" + mosquittoBridge,
		want: []string{"allow_anonymous: note: ", "qos0WhenDown: Buffer"},
	},
	"mosquitto: more topics than rules": {
		text: "connection b\naddress broker.example\n" + numbered(65, "topic t%d out\n"),
		want: []string{"line 1: b: not imported: the bridge has 65 topics in one direction, and at most 64 are possible"}, not: []string{"Too many"},
	},
	"mosquitto: same topic more often than rules": {
		text: mosquittoBridge + strings.Repeat("topic t out\n", 65), want: []string{"filter: t\n", "is configured twice"}, not: []string{"at most 64"},
	},
	"mosquitto: option of a listener": {
		text: "listener 1883\nlistener_allow_anonymous false\n" + mosquittoBridge, want: []string{"listener_allow_anonymous: note: "},
	},
}

const mosquittoBridge = "connection b\naddress broker.example\ntopic # out\n"

const nanomqBridge = `bridges.mqtt.b {
  server = "mqtt-tcp://broker.example:1883"
  `

const hivemqFilter = `<filters><mqtt-topic-filter>a/#</mqtt-topic-filter></filters>`

// hivemqBridge returns a bridge of HiveMQ Edge with these elements, one forwarded topic and one remote subscription.
func hivemqBridge(elements, forwarded, subscription string) string {
	text := "<hivemq><mqtt-bridges><mqtt-bridge><id>b</id><remote-broker><host>broker.example</host></remote-broker>" + elements
	text += "<forwarded-topics><forwarded-topic>" + forwarded + "</forwarded-topic></forwarded-topics>"
	if subscription != "" {
		text += "<remote-subscriptions><remote-subscription>" + subscription + "</remote-subscription></remote-subscriptions>"
	}
	return text + "</mqtt-bridge></mqtt-bridges></hivemq>"
}
