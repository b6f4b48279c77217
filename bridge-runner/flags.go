// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/command"
)

// options are the arguments of the program.
type options struct {
	// bridge is the file with the manifest, or bridges the directory with the manifests. The other
	// one is empty.
	bridge, bridges string
	secrets, data   string
	// metricsListen is empty if the address of listen serves the metrics and the status, too.
	listen, metricsListen string
	// logFormat is the format of the log lines that belong to no bridge of --bridges, text or json.
	logFormat           string
	delayReads          bool
	kubernetes, version bool
	peer                peerOptions
	group               groupOptions
}

// The values of --log-format.
const logText, logJSON = "text", "json"

// A flagGroup is a part of the help.
type flagGroup struct {
	title string
	flags []string
}

// flagGroups are the flags in the order of the help.
var flagGroups = []flagGroup{
	{"Bridges", []string{"bridge", "bridges", "secrets", "data"}},
	{"Health, metrics, status and page", []string{"listen", "metrics-listen"}},
	{"Two runners on two machines (docs/two-runners.md)", []string{"peer", "peer-listen", "peer-key", "peer-trusted", "peer-preferred", "peer-timeout"}},
	{"Other flags", []string{"log-format", "delay-reads", "version"}},
	{"Set by the operator in its pods", []string{"kubernetes", "group", "group-listen", "lease-duration"}},
}

// usageHead is the help before the descriptions of the flags. main runs the commands.
const usageHead = `usage: bridge-runner --bridge FILE [flags]
       bridge-runner --bridges DIRECTORY [flags]
       bridge-runner COMMAND [arguments]

Runs MQTT bridges from their MQTTBridge manifests. The commands run no bridge:

  check      check manifests, and with --connect their servers
  explain    show the path of a topic through the rules of a manifest
  import     turn the bridges of Mosquitto, NanoMQ, EMQX or HiveMQ Edge into manifests
  convert    turn manifests of earlier releases into manifests of this release
  peer-key   make the key pair of this machine for --peer

"bridge-runner COMMAND -h" describes a command. The flags of a runner:
`

// usageHint is the last line of a message about wrong arguments. The help is longer than a screen, and
// would hide the message.
const usageHint = `"bridge-runner -h" lists the commands and the flags.`

// newFlags returns the flags of a runner, and the options that they set.
func newFlags() (*options, *flag.FlagSet) {
	var o options
	flags := flag.NewFlagSet("bridge-runner", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.bridge, "bridge", "", "the `FILE` with the MQTTBridge manifest; required, unless --bridges is set")
	flags.StringVar(&o.bridges, "bridges", "", "the `DIRECTORY` with the manifests of many bridges, in files *.yaml, *.yml and *.json with one MQTTBridge each; the process runs all of them, and applies added, changed and removed files")
	flags.StringVar(&o.secrets, "secrets", "", "the `DIRECTORY` with the values that the manifest refers to; the file <name>/<key> holds the key of a Secret, configMaps/<name>/<key> the key of a ConfigMap, and clusterTrustBundles/<name>/ca.crt a ClusterTrustBundle; with --bridges, these files are in the directory <namespace> of the bridge")
	flags.StringVar(&o.data, "data", "", "the `DIRECTORY` for the buffer on disk; required if the manifest sets spec.buffer.disk; with --bridges, each bridge uses the directory <namespace>/<name>")
	flags.StringVar(&o.listen, "listen", ":8080", "the `ADDRESS` (host:port) on which the runner serves /livez and /readyz, and without --metrics-listen also /metrics, /status and, at /, a page for browsers")
	flags.StringVar(&o.metricsListen, "metrics-listen", "", "the `ADDRESS` (host:port) on which the runner serves /metrics, /status and, at /, a page for browsers (default: the address of --listen)")
	flags.StringVar(&o.logFormat, "log-format", "", "with --bridges, the `FORMAT` of the log lines that belong to no bridge, text or json; the other lines have the logFormat of their bridge (default: text)")
	flags.BoolVar(&o.delayReads, "delay-reads", true, "wait 0.3 ms for more data before a read if many messages or acknowledgements arrive one by one; false saves this time and needs more processor time (docs/performance.md)")
	flags.BoolVar(&o.kubernetes, "kubernetes", false, "report the status to the MQTTBridge resource in this cluster, and watch the ConfigMap with the manifest; the environment variables POD_NAME and NODE_NAME hold the names of the pod and of its node; not with --bridges")
	o.peer.define(flags)
	o.group.define(flags)
	flags.BoolVar(&o.version, "version", false, "print the version and exit")
	return &o, flags
}

// parseFlags parses the arguments of a runner. It writes the help to out, and messages about wrong arguments to
// fault.
func parseFlags(args []string, out, fault io.Writer) (options, error) {
	o, flags := newFlags()
	err := flags.Parse(args)
	problem := ""
	switch {
	case errors.Is(err, flag.ErrHelp):
		_, _ = io.WriteString(out, usageHead)
		for _, g := range flagGroups {
			_, _ = fmt.Fprintf(out, "\n%s:\n%s", g.title, command.DescribeFlags(flags, g.flags...))
		}
		return *o, err
	case err != nil:
		problem = command.FlagError(err)
	case !o.version:
		problem = o.problem(flags.Args())
	}
	if problem != "" {
		_, _ = fmt.Fprintf(fault, "bridge-runner: %s\n%s\n", problem, usageHint)
		return *o, errors.New("usage")
	}
	return *o, nil
}

// problem returns the reason why the arguments are invalid. It is empty if they are valid.
// arguments are the arguments that are not flags.
func (o *options) problem(arguments []string) string {
	switch {
	case len(arguments) > 0 && o.bridge == "" && o.bridges == "":
		return fmt.Sprintf("%q is no command; name a manifest by --bridge FILE, or write one of the commands check, explain, import, convert and peer-key as the first argument", arguments[0])
	case len(arguments) > 0:
		return fmt.Sprintf("the argument %q is no flag; remove it, or put the manifests of several bridges into the directory of --bridges", arguments[0])
	case o.bridge == "" && o.bridges == "":
		return "--bridge or --bridges is required; name a manifest by --bridge FILE, or a directory of manifests by --bridges DIRECTORY"
	case o.bridge != "" && o.bridges != "":
		return "--bridge and --bridges exclude each other; to run one more bridge, put its manifest into the directory of --bridges"
	case o.bridges != "" && o.kubernetes:
		return "--kubernetes and --bridges exclude each other; in a cluster, the operator runs one pod for each bridge"
	case o.logFormat != "" && o.bridges == "":
		return "--log-format needs --bridges; with --bridge, set spec.runner.logFormat of the manifest"
	case o.logFormat != "" && o.logFormat != logText && o.logFormat != logJSON:
		return fmt.Sprintf("--log-format %q is no format of the log; use text or json", o.logFormat)
	}
	return cmp.Or(o.peer.problem(o.kubernetes), o.group.problem(o))
}
