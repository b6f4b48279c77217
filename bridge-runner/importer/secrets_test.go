// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/draft"
)

// A configuration may have a fault in a password, or next to it.
func TestImport_FaultNextToAPassword_MessagesContainNoPartOfIt(t *testing.T) {
	const (
		mosquitto = "connection a\naddress broker.example\ntopic x/# out\nremote_username plant\n"
		lines     = "bridge.mqtt.a.address=mqtt-tcp://broker.example:1883\nbridge.mqtt.a.forwards=x/#\n"
		nanomq    = "bridges.mqtt.a {\n  server = \"mqtt-tcp://broker.example:1883\"\n  username = plant\n  forwards = [{ local_topic = \"x/#\" }]\n  PASSWORD\n}\n"
		edge      = `<hivemq><mqtt-bridges><mqtt-bridge><id>a</id><remote-broker><host>broker.example</host><authentication><mqtt-simple-authentication>` +
			`<username>plant</username><password>PASSWORD</password></mqtt-simple-authentication></authentication></remote-broker></mqtt-bridge></mqtt-bridges></hivemq>`
	)
	for name, c := range map[string]struct{ from, file, want string }{
		"an equals sign":            {"mosquitto", mosquitto + "remote_password=hunter\n", "line 5, column 1"},
		"a colon":                   {"mosquitto", mosquitto + "remote_password:hunter # mine\n", "line 5: remote_password"},
		"a line of its own":         {"mosquitto", mosquitto + "remote_password \\\nhunter\n", "line 6, column 1"},
		"login in the address":      {"mosquitto", strings.Replace(mosquitto, "broker.example", "plant:hunter@broker.example:mqtt", 1), "...@broker.example:mqtt"},
		"a space":                   {"nanomq", lines + "bridge.mqtt.a.password hunter\n", "the key bridge.mqtt.a.password has no value"},
		"a comma":                   {"nanomq", strings.Replace(nanomq, "PASSWORD", "password = pa,hunter", 1), "line 5, column 17"},
		"braces":                    {"nanomq", strings.Replace(nanomq, "PASSWORD", "password = { hunter }", 1), "line 5"},
		"a part of the environment": {"nanomq", strings.Replace(nanomq, "PASSWORD", `password = "hunter"${SUFFIX}`, 1), "the value ${SUFFIX} is set outside"},
		"login of QUIC":             {"nanomq", strings.Replace(strings.Replace(nanomq, "PASSWORD", "", 1), "mqtt-tcp://", "mqtt-quic://plant:hunter@", 1), "...@broker.example"},
		"login and a placeholder":   {"nanomq", strings.Replace(strings.Replace(nanomq, "PASSWORD", "", 1), "mqtt-tcp://broker.example:1883", "mqtt-tcp://plant:hunter@${HOST}:1883", 1), "...@${HOST}"},
		"an ampersand":              {"hivemq-edge", strings.Replace(edge, "PASSWORD", "pa&hunter", 1), "&amp;"},
		"a less-than sign":          {"hivemq-edge", strings.Replace(edge, "PASSWORD", "pa<hunter>1", 1), "&lt;"},
		"a part of a variable":      {"hivemq-edge", strings.Replace(edge, "PASSWORD", "hunter${ENV:SUFFIX}", 1), "the value ${ENV:SUFFIX} is set outside"},
	} {
		t.Run(name, func(t *testing.T) {
			var messages []string
			result, err := Import([]byte(c.file), c.from, &draft.Options{})
			if err != nil {
				messages = append(messages, err.Error())
			} else {
				for _, b := range result.Bridges {
					for _, f := range b.Findings {
						messages = append(messages, f.String())
					}
				}
			}
			text := strings.Join(messages, "\n")
			if strings.Contains(text, "hunter") || !strings.Contains(text, c.want) {
				t.Errorf("want a message with %q and without the password:\n%s", c.want, text)
			}
		})
	}
}

// Some services use a token as the user name, without a password.
func TestImport_UserNameWithoutPassword_IsInTheSecretOnly(t *testing.T) {
	isInSecretOnly(t, "mosquitto", "connection a\naddress broker.example\ntopic x/# out\nremote_username t0ken-of-plant\n",
		"username", "t0ken-of-plant", "name: a-remote")
}

func TestImport_QueryOfAWebSocket_IsInTheSecretOnly(t *testing.T) {
	isInSecretOnly(t, "hivemq-edge", `<hivemq><mqtt-bridges><mqtt-bridge><id>a</id><remote-broker><host>broker.example</host>`+
		`<websocket><enabled>true</enabled><server-path>/mqtt?token=t0ken-of-plant</server-path></websocket></remote-broker>`+
		`<forwarded-topics><forwarded-topic><filters><mqtt-topic-filter>x/#</mqtt-topic-filter></filters></forwarded-topic></forwarded-topics>`+
		`</mqtt-bridge></mqtt-bridges></hivemq>`,
		"query", "token=t0ken-of-plant", `url: "ws://broker.example:1883/mqtt"`, "queryFrom:")
}

// isInSecretOnly imports a bridge, and checks that a Secret has the value under a key, and that the manifest
// has the wanted texts and not the token.
func isInSecretOnly(t *testing.T, from, file, key, value string, wanted ...string) {
	t.Helper()
	result, err := Import([]byte(file), from, &draft.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b := result.Bridges[0]
	if got := b.Secrets["a-remote"][key]; got != value {
		t.Errorf("the Secrets are %v", b.Secrets)
	}
	text, err := YAML(b, "f", false)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range wanted {
		if strings.Contains(string(text), "t0ken") || !strings.Contains(string(text), want) {
			t.Errorf("the manifest has the token, or not %s:\n%s", want, text)
		}
	}
}
