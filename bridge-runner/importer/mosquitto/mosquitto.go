// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package mosquitto imports the bridges of Mosquitto: the connection blocks of mosquitto.conf.
package mosquitto

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/draft"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/tree"
)

var connection = regexp.MustCompile(`(?m)^[ \t]*connection[ \t]+[^ \t={]`)

// Recognize reports whether a configuration has bridges of Mosquitto.
func Recognize(data []byte) bool { return connection.Match(data) }

// Import returns the bridges in a configuration, and the findings that belong to no bridge.
func Import(data []byte, opts *draft.Options) ([]*draft.Bridge, []draft.Finding, error) {
	broker, connections, unknown, err := parse(data)
	if err != nil {
		return nil, nil, err
	}
	var bridges []*draft.Bridge
	for _, c := range connections {
		b := draft.New(opts, c.Key, c.Line)
		importer{b}.read(b.Reader("", c.Value), broker)
		if err := b.Finish(); err != nil {
			return nil, nil, err
		}
		bridges = append(bridges, b)
	}
	var findings []draft.Finding
	if f := broker.Get("include_dir"); f != nil {
		findings = append(findings, draft.Finding{Kind: draft.LeftOut, Line: f.Line, Key: "include_dir", Text: "the files in " + f.Value.Text + " are not read; import each of them as a further FILE"})
	}
	for _, f := range unknown {
		findings = append(findings, draft.Finding{Kind: draft.LeftOut, Line: f.Line, Key: f.Key, Text: "this option is unknown; check its spelling"})
	}
	return bridges, findings, nil
}

// options are the options of a connection block, and the names under which the import reads them.
// All other options are settings of the broker, also if they follow a connection block.
var options = bridgeOptions()

func bridgeOptions() map[string]string {
	out := map[string]string{
		"clientid": "remote_clientid", "username": "remote_username", "password": "remote_password", "addresses": "address",
	}
	for _, option := range strings.Fields(`address topic remote_clientid remote_username remote_password
		local_clientid local_username local_password cleansession local_cleansession keepalive_interval
		restart_timeout notifications notifications_local_only notification_topic try_private start_type
		threshold idle_timeout round_robin`) {
		out[option] = option
	}
	return out
}

// usedOfBroker are the options of the broker that the import uses.
var usedOfBroker = map[string]bool{
	"allow_anonymous": true, "listener_allow_anonymous": true, "include_dir": true,
	"max_queued_messages": true, "max_queued_bytes": true, "max_inflight_messages": true, "queue_qos0_messages": true,
}

// brokerOptions are the other options of the broker.
var brokerOptions = strings.Fields(`accept_protocol_versions acl_file allow_duplicate_messages
	allow_zero_length_clientid auth_plugin auth_plugin_deny_special_chars auto_id_prefix autosave_interval
	autosave_on_changes bind_address bind_interface cafile capath check_retain_source ciphers ciphers_tls1.3
	clientid_prefixes connection_messages crlfile dhparamfile disable_client_cert_date_checks enable_control_api
	enable_proxy_protocol global_max_clients global_max_connections global_plugin http_dir keyfile
	listener_auto_id_prefix log_dest log_facility log_timestamp log_timestamp_format log_type max_connections
	max_inflight_bytes max_keepalive max_log_entries max_packet_size max_qos max_topic_alias max_topic_alias_broker
	maximum_qos memory_limit message_size_limit packet_buffer_size password_file per_listener_settings persistence
	persistence_file persistence_location persistent_client_expiration pid_file plugin plugin_load plugin_use
	proxy_protocol_v2_require_tls psk_file psk_hint require_certificate retain_available retain_expiry_interval
	retained_persistence retry_interval set_tcp_nodelay socket_domain store_clean_interval sys_interval tls_engine
	tls_engine_kpass_sha1 tls_keyform tls_version upgrade_outgoing_qos use_identity_as_username
	use_subject_as_username use_username_as_clientid user websockets_headers_size websockets_log_level
	websockets_origin`)

// ofBroker reports whether an option belongs to the broker.
func ofBroker(option string) bool {
	return usedOfBroker[option] || ofListener[option] || slices.Contains(brokerOptions, option) ||
		strings.HasPrefix(option, "auth_opt_") || strings.HasPrefix(option, "plugin_opt_")
}

// wordOptions are options that the import uses. Mosquitto reads only the first word of their values, so that
// a comment may follow. The value of other options is the rest of the line.
var wordOptions = strings.Fields(`allow_anonymous bridge_insecure bridge_max_packet_size bridge_outgoing_retain
	bridge_session_expiry_interval bridge_tls_use_os_certs cleansession keepalive_interval listener_allow_anonymous local_cleansession
	max_inflight_messages max_queued_bytes max_queued_messages notifications notifications_local_only
	queue_qos0_messages round_robin start_type try_private`)

// optionName matches the name of an option. The rest of a word, such as remote_password=VALUE, may be a secret.
var optionName = regexp.MustCompile(`^[A-Za-z0-9_.]*`)

// maxFaults is the largest number of faults that an error has. A file that is no configuration may have millions.
const maxFaults = 100

// parse reads lines of an option and its value. It returns the options of the broker, the options of
// each connection, and the unknown options before the first connection; or an error that has the first
// maxFaults faults of the lines.
func parse(data []byte) (broker *tree.Value, connections, unknown []*tree.Field, err error) {
	broker = &tree.Value{Kind: tree.Object, Line: 1, Column: 1}
	var current *tree.Field
	var faults []error
	names := map[string]int{} // the lines of the connections
	number := 0
	for raw := range strings.Lines(strings.TrimPrefix(string(data), "\uFEFF")) {
		number++
		line := strings.TrimSpace(raw)
		if line == "" || line[0] == '#' {
			continue
		}
		option, text := line, ""
		if i := strings.IndexAny(line, " \t"); i >= 0 {
			option, text = line[:i], strings.TrimSpace(line[i:])
		}
		column := strings.Index(raw, line) + 1
		value := &tree.Value{Text: text, Line: number, Column: column + strings.LastIndex(line, text)}
		if text != "" && slices.Contains(wordOptions, option) {
			value.Text = strings.Fields(text)[0]
		}
		f := &tree.Field{Key: option, Shown: optionName.FindString(option), Line: number, Column: column, Value: value}
		name, ofBridge := options[option]
		ofBridge = ofBridge || strings.HasPrefix(option, "bridge_") && optionName.FindString(option) == option
		switch {
		case text == "" && !ofBridge && option != "connection" && !ofBroker(option):
			// The word may be a password, or end with one, so the error does not quote it.
			faults = append(faults, tree.Errorf(number, column, "the line has only one word, which is no option; write an option and its value, with a space between them"))
		case text == "":
			faults = append(faults, tree.Errorf(number, column, "the option %s has no value; write it after a space", option))
		case option == "connection":
			f.Key = strings.Fields(text)[0]
			f.Value = &tree.Value{Kind: tree.Object, Line: number, Column: column}
			if first, ok := names[f.Key]; ok {
				faults = append(faults, tree.Errorf(number, column, "the connection %s is already in line %d; give one of them another name", f.Key, first))
			} else {
				names[f.Key] = number
			}
			connections, current = append(connections, f), f
		case !ofBridge && current == nil && !ofBroker(option):
			unknown = append(unknown, f)
		case !ofBridge && ofBroker(option):
			if ofListener[option] || usedOfBroker[option] && broker.Get(option) == nil {
				broker.Fields = append(broker.Fields, f)
			}
		case current == nil:
			faults = append(faults, tree.Errorf(number, column, "the option %s belongs to a bridge, but no connection precedes it; write connection NAME before it", option))
		default:
			if name != "" {
				f.Key = name
			}
			if err := addOption(current.Value, f); err != nil {
				faults = append(faults, err)
			}
		}
		if len(faults) == maxFaults {
			faults = append(faults, tree.Errorf(number, column, "the lines after this one are not checked, because the file has %d faults up to here; correct these first", maxFaults))
			break
		}
	}
	return broker, connections, unknown, errors.Join(faults...)
}

// addOption adds an option to a connection. Topics are a list; of other options the last one
// applies, as in Mosquitto.
func addOption(c *tree.Value, f *tree.Field) error {
	old := c.Get(f.Key)
	switch {
	case f.Key == "topic" && old == nil:
		f.Value = &tree.Value{Kind: tree.List, Line: f.Line, Column: f.Column, Items: []*tree.Value{f.Value}}
	case f.Key == "topic":
		old.Value.Items = append(old.Value.Items, f.Value)
		return nil
	case f.Key == "address" && old != nil:
		return tree.Errorf(f.Line, f.Column, "the connection has a second %s, the first one is in line %d; write all addresses in one line, separated by spaces", f.Shown, old.Line)
	}
	c.Set([]string{f.Key}, f)
	return nil
}
