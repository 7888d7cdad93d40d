//! Records: every kind of value the client can write, read back in every way it can read.

use apify_client::clients::key_value_store::{KeyValueStoreClient, SetRecordOptions};
use apify_client::{GetRecordOptions, ListKeysOptions};
use serde_json::{Value, json};

use crate::bench::{Bench, Outcome, checks, noise, refused};

const JSON_TYPE: &str = "application/json; charset=utf-8";

checks![
    json_values_come_back_as_they_were,
    bytes_and_text_come_back_with_their_type,
    empty_values_exist_with_their_type,
    a_2_mb_random_image_is_byte_identical,
    a_large_json_value_is_stored_compressed_and_comes_back_whole,
    values_are_sent_compressed_from_1024_bytes_on_and_plain_below,
    a_value_compressed_by_the_caller_is_decoded_for_a_client_that_takes_none,
    overwriting_replaces_value_type_and_encoding,
    every_allowed_sign_of_a_key_reaches_the_same_record,
    an_absent_record_is_none_and_does_not_exist,
    a_record_is_read_without_attachment_and_with_a_signature,
    deleting_a_record_twice_is_well,
    a_public_record_url_names_the_record_and_carries_a_signature,
];

/// Stored bytes of a record: what the client sent, compressed or not.
async fn stored_size(
    store: &KeyValueStoreClient,
    key: &str,
) -> Result<usize, Box<dyn std::error::Error + Send + Sync>> {
    let options = ListKeysOptions { prefix: Some(key.to_owned()), limit: Some(1), ..Default::default() };
    let item = store.list_keys(options).await?.items.remove(0);
    assert_eq!(item.key, key);
    Ok(item.size.expect("every key has a size").try_into()?)
}

/// Asserts that the record holds exactly these bytes, of this type.
async fn holds(store: &KeyValueStoreClient, key: &str, value: &[u8], content_type: &str) -> Outcome {
    let record = store.get_record(key).await?.expect("the record exists");
    assert_eq!((&*record.key, record.content_type.as_deref()), (key, Some(content_type)));
    assert!(record.value == value, "{key} came back with other bytes ({} of them)", record.value.len());
    Ok(())
}

async fn json_values_come_back_as_they_were(bench: Bench) -> Outcome {
    let store = bench.store().await?;
    for value in [json!({"a": [1, "ž", null]}), json!([]), Value::Null, json!(42), json!(true), json!(-0.5)] {
        store.set_record_json("json", &value).await?;
        let record = store.get_record("json").await?.expect("just written");
        assert_eq!((record.json::<Value>()?, record.content_type.as_deref()), (value, Some(JSON_TYPE)));
    }
    Ok(())
}

async fn bytes_and_text_come_back_with_their_type(bench: Bench) -> Outcome {
    let store = bench.store().await?;
    let types = ["application/octet-stream", "text/html", "image/svg+xml", "text/csv; charset=utf-8; header=present"];
    for content_type in types {
        store.set_record_raw("typed", b"\x00\xff\n<p>".to_vec(), content_type).await?;
        holds(&store, "typed", b"\x00\xff\n<p>", content_type).await?;
    }
    Ok(())
}

async fn empty_values_exist_with_their_type(bench: Bench) -> Outcome {
    let store = bench.store().await?;
    store.set_record_raw("empty", Vec::new(), "text/plain").await?;
    holds(&store, "empty", b"", "text/plain").await?;
    assert!(store.record_exists("empty").await?);
    assert_eq!(stored_size(&store, "empty").await?, 0);
    Ok(())
}

async fn a_2_mb_random_image_is_byte_identical(bench: Bench) -> Outcome {
    let store = bench.store().await?;
    let value = noise(2_000_000);
    store.set_record_raw("img-big", value.clone(), "image/jpeg").await?;
    holds(&store, "img-big", &value, "image/jpeg").await
}

async fn a_large_json_value_is_stored_compressed_and_comes_back_whole(bench: Bench) -> Outcome {
    let store = bench.store().await?;
    let value: Vec<_> = (0..30_000).map(|i| json!({"i": i, "text": "the same again and again"})).collect();
    store.set_record_json("bigjson", &value).await?;
    holds(&store, "bigjson", &serde_json::to_vec(&value)?, JSON_TYPE).await?;
    assert!(stored_size(&store, "bigjson").await? < 500_000);
    Ok(())
}

async fn values_are_sent_compressed_from_1024_bytes_on_and_plain_below(bench: Bench) -> Outcome {
    let store = bench.store().await?;
    for (key, length) in [("t1023", 1023), ("t1024", 1024)] {
        store.set_record_raw(key, vec![b'x'; length], "text/plain").await?;
        holds(&store, key, &vec![b'x'; length], "text/plain").await?;
    }
    assert_eq!(stored_size(&store, "t1023").await?, 1023);
    assert!(stored_size(&store, "t1024").await? < 1024);
    Ok(())
}

async fn a_value_compressed_by_the_caller_is_decoded_for_a_client_that_takes_none(bench: Bench) -> Outcome {
    let store = bench.store().await?;
    // `printf 'packed by hand\n' | gzip -n`
    let packed: &[u8] = &[
        0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0x2b, 0x48, 0x4c, 0xce, 0x4e, 0x4d, 0x51, 0x48,
        0xaa, 0x54, 0xc8, 0x48, 0xcc, 0x4b, 0xe1, 0x02, 0x00, 0x24, 0xef, 0x9d, 0x34, 0x0f, 0x00, 0x00, 0x00,
    ];
    store.set_record_raw_with_content_encoding("pregz", packed.to_vec(), "text/plain", "gzip").await?;
    assert_eq!(stored_size(&store, "pregz").await?, packed.len());
    holds(&store, "pregz", b"packed by hand\n", "text/plain").await?;
    store.set_record_raw_with_content_encoding("plain", b"as is".to_vec(), "text/plain", "identity").await?;
    holds(&store, "plain", b"as is", "text/plain").await?;
    let unknown = store.set_record_raw_with_content_encoding("bla", b"x".to_vec(), "text/plain", "bla").await;
    refused(unknown, 415, "unsupported-content-encoding");
    assert!(store.get_record("bla").await?.is_none());
    Ok(())
}

async fn overwriting_replaces_value_type_and_encoding(bench: Bench) -> Outcome {
    let store = bench.store().await?;
    store.set_record_raw("k", vec![b'y'; 5000], "text/plain").await?;
    store.set_record_json("k", &json!({"small": 1})).await?;
    holds(&store, "k", br#"{"small":1}"#, JSON_TYPE).await?;
    let options = SetRecordOptions { do_not_retry_timeouts: true, ..Default::default() };
    store.set_record_raw_with_options("k", vec![b'z'; 5000], "text/html", options).await?;
    holds(&store, "k", &[b'z'; 5000], "text/html").await?;
    let options = SetRecordOptions { do_not_retry_timeouts: true, ..Default::default() };
    store.set_record_json_with_options("k", &7, options).await?;
    holds(&store, "k", b"7", JSON_TYPE).await?;
    assert_eq!(store.list_keys(ListKeysOptions::default()).await?.items.len(), 1);
    Ok(())
}

async fn every_allowed_sign_of_a_key_reaches_the_same_record(bench: Bench) -> Outcome {
    let store = bench.store().await?;
    for key in ["my!key'(v1).json", "a!-_.'()Z9", &"k".repeat(256)] {
        store.set_record_json(key, &1).await?;
        holds(&store, key, b"1", JSON_TYPE).await?;
        assert!(store.record_exists(key).await?);
        assert_eq!(store.list_keys(ListKeysOptions::default()).await?.items[0].key, key);
        store.delete_record(key).await?;
        assert!(store.get_record(key).await?.is_none());
    }
    Ok(())
}

async fn an_absent_record_is_none_and_does_not_exist(bench: Bench) -> Outcome {
    let store = bench.store().await?;
    store.set_record_json("there", &1).await?;
    assert!(store.get_record("nope").await?.is_none());
    assert!(store.record_exists("there").await?);
    assert!(!store.record_exists("nope").await?);
    Ok(())
}

async fn a_record_is_read_without_attachment_and_with_a_signature(bench: Bench) -> Outcome {
    let store = bench.store().await?;
    store.set_record_json("json", &1).await?;
    for attachment in [None, Some(false), Some(true)] {
        let options = GetRecordOptions { attachment, signature: Some("x".to_owned()) };
        let record = store.get_record_with_options("json", options).await?.expect("it exists");
        assert_eq!((&*record.value, record.content_type.as_deref()), (&b"1"[..], Some(JSON_TYPE)));
    }
    Ok(())
}

async fn deleting_a_record_twice_is_well(bench: Bench) -> Outcome {
    let store = bench.store().await?;
    store.set_record_json("json", &1).await?;
    store.delete_record("json").await?;
    assert!(store.get_record("json").await?.is_none());
    store.delete_record("json").await?;
    Ok(store.delete_record("never-was").await?)
}

async fn a_public_record_url_names_the_record_and_carries_a_signature(bench: Bench) -> Outcome {
    let id = bench.open(None).await?.id;
    let url = bench.client.key_value_store(&id).get_record_public_url("OUTPUT").await?;
    let start = format!("{}/v2/key-value-stores/{id}/records/OUTPUT?signature=", bench.url);
    assert!(url.starts_with(&start) && url.len() > start.len(), "{url}");
    Ok(())
}
