"""Workers that carry the ledger to Kafka, Elastic and Splunk. They read the feed; nothing imports them."""
