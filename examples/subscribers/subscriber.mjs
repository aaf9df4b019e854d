// Receive one type of event in Node: npm install kafka-crab-js
import { KafkaClient } from 'kafka-crab-js'

const TYPE = 'org.councilbackbone.servicerequests.status-changed.v1'
const topic = process.env.BACKBONE_TOPIC ?? 'E09000099.servicerequests.v1'
const brokers = process.env.BACKBONE_BOOTSTRAP_SERVERS ?? '127.0.0.1:9092'
const groupId = process.env.BACKBONE_GROUP ?? 'your-service'
const handled = new Set() // the last ids; better: a table of yours, written in the transaction of the work
let stopping = false
process.once('SIGTERM', () => { stopping = true })

/** Do your work here; when it throws, the program ends, and nothing is committed past this event. */
async function handle (id, data) {
  console.log(id, data.case_ref)
}

const consumer = new KafkaClient({ brokers, clientId: groupId }).createConsumer({
  groupId,
  enableAutoCommit: false,
  configuration: { 'isolation.level': 'read_committed', 'auto.offset.reset': 'earliest' }
})
await consumer.subscribe(topic)
try {
  while (!stopping) {
    const last = new Map()
    for (const message of await consumer.recvBatch(100, 500)) {
      const [type, id] = ['ce_type', 'ce_id'].map(name => message.headers?.[name]?.toString())
      if (type === TYPE && !handled.has(id)) {
        await handle(id, JSON.parse(message.payload))
        handled.add(id)
        if (handled.size > 100_000) handled.delete(handled.values().next().value)
      }
      last.set(message.partition, message)
    }
    for (const message of last.values()) await consumer.commitMessage(message, 'Sync')
  }
} finally {
  await consumer.disconnect()
}
