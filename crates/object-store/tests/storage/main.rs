//! The guarantees of an object store: one suite, run against every implementation, and the guarantees of some of them
//! only.
#![expect(clippy::unwrap_used, reason = "what fails in a test should end it at once")]
#![expect(clippy::disallowed_methods, reason = "tests have no drain to wait for, and measure time themselves")]

mod ambiguous_writes;
mod contract;
mod decorators;
mod diagnostics;
mod embedded_access;
mod embedded_backup;
mod embedded_damage;
mod embedded_folder;
mod embedded_full;
mod embedded_life;
mod embedded_lost;
mod embedded_priority;
mod power_loss;
mod random_operations;
mod read_cache;
mod single_writer;
mod stores;
mod values;

/// One test for each promise of the contract, over new stores from `stores::$backend()`.
macro_rules! hold_to_the_contract {
    ($backend:ident) => {
        hold_to_the_contract! { $backend:
            puts {
                what_is_put_is_read_back_with_its_attributes,
                a_stream_of_unknown_length_is_stored_whole,
                a_put_replaces_bytes_and_attributes_whatever_their_sizes,
                the_etag_changes_with_the_bytes_and_with_the_attributes,
                a_body_that_breaks_off_leaves_the_old_object,
                a_body_of_another_length_than_announced_is_refused,
                the_time_of_a_write_is_the_clocks,
                odd_keys_are_kept_apart,
            }
            aborts {
                a_put_that_is_dropped_between_two_chunks_leaves_the_old_object,
                a_put_that_is_dropped_at_any_moment_leaves_an_object_whole,
            }
            deletes {
                a_deleted_object_is_gone_and_may_be_deleted_again,
                many_objects_are_deleted_at_once,
                a_conditional_delete_spares_what_does_not_match,
            }
            copies {
                a_copy_has_the_bytes_and_the_attributes_and_a_life_of_its_own,
                a_copy_onto_itself_changes_nothing_but_the_time,
                a_copy_obeys_its_precondition,
            }
            reads {
                what_is_not_there_is_not_found,
                ranges_are_cut_to_the_object,
                a_range_behind_the_end_is_refused_with_the_size,
                a_reader_reads_on_whatever_is_written_meanwhile,
                no_reader_sees_two_objects_mixed,
                the_store_says_that_it_can_serve,
            }
            races {
                a_precondition_that_does_not_hold_writes_nothing,
                of_many_who_create_an_object_exactly_one_wins,
                no_increment_by_compare_and_swap_is_lost,
            }
            lists {
                pages_give_all_keys_in_byte_order,
                a_prefix_may_end_anywhere,
                a_page_starts_behind_a_key_that_need_not_exist,
                a_page_says_whether_more_follows,
                a_list_sees_what_was_written_before_it_began,
            }
        }
    };
    ($backend:ident: $($part:ident { $($promise:ident,)* })*) => {
        mod $backend {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $promise() {
                    let store = crate::stores::$backend();
                    crate::contract::$part::$promise(store.objects()).await;
                }
            )*)*
        }
    };
}

hold_to_the_contract!(memory);
hold_to_the_contract!(embedded);
hold_to_the_contract!(kept_in_memory);
hold_to_the_contract!(conditions_by_a_single_writer);
#[cfg(feature = "s3")]
hold_to_the_contract!(s3);
