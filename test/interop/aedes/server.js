// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// An Aedes server with default settings, which keeps everything in memory. It accepts
// clients without a login and clients with the login bridge and secret, and refuses
// subscriptions to forbidden/#. Arguments: host and port of the listener.

import { createServer } from 'node:net'
import { Aedes } from 'aedes'

const [host, port] = process.argv.slice(2)

const broker = await Aedes.createBroker({
  authenticate (client, username, password, done) {
    if (!username || (username === 'bridge' && password.toString() === 'secret')) {
      return done(null, true)
    }
    done(Object.assign(new Error('bad user name or password'), { returnCode: 4 }), false)
  },
  authorizeSubscribe (client, subscription, done) {
    done(null, subscription.topic.startsWith('forbidden/') ? null : subscription)
  }
})
broker.on('clientError', (client, error) => console.error(client.id, error.message))
broker.on('connectionError', (client, error) => console.error(error.message))

createServer(broker.handle).listen(Number(port), host)
process.on('SIGTERM', () => process.exit(0))
