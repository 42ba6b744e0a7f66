//! Files: expiry by request, lists in pages, downloads in pieces.

use std::time::Duration;

use async_openai::types::files::{
    CreateFileRequest, FileExpirationAfter, FileExpirationAfterAnchor, FileInput, FilePurpose,
};
use thrifty::simulator::{Fault, Simulator};

use super::Result;
use super::raw::get;

fn upload(name: &str, content: Vec<u8>, purpose: FilePurpose) -> CreateFileRequest {
    CreateFileRequest {
        file: FileInput::from_vec_u8(name.into(), content),
        purpose,
        expires_after: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_lives_as_long_as_it_was_asked_to() -> Result {
    let client = Simulator::new().client();
    let mut brief = upload("a.jsonl", b"{}".to_vec(), FilePurpose::Batch);
    brief.expires_after = Some(FileExpirationAfter {
        anchor: FileExpirationAfterAnchor::CreatedAt,
        seconds: 3_600,
    });
    let brief = client.files().create(brief).await?;
    assert_eq!(brief.expires_at, Some(brief.created_at + 3_600));
    tokio::time::sleep(Duration::from_secs(3_599)).await;
    assert!(client.files().retrieve(&brief.id).await.is_ok());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(client.files().retrieve(&brief.id).await.is_err());
    Ok(())
}

#[tokio::test]
async fn files_are_listed_in_pages_by_order_and_purpose() -> Result {
    let simulator = Simulator::new();
    let client = simulator.client();
    for n in 0..5 {
        let purpose = if n == 3 {
            FilePurpose::FineTune
        } else {
            FilePurpose::Batch
        };
        client
            .files()
            .create(upload(&format!("{n}"), vec![n], purpose))
            .await?;
    }
    let names = async |query: &str| {
        let list = get(&simulator, &format!("/v1/files?{query}")).await;
        let names = list["data"].as_array().unwrap().iter();
        let names: Vec<String> = names
            .map(|file| file["filename"].as_str().unwrap().to_owned())
            .collect();
        (
            names.join(""),
            list["last_id"].as_str().map(str::to_owned),
            list["has_more"] == true,
        )
    };
    assert_eq!(names("").await.0, "43210");
    assert_eq!(names("order=asc&purpose=batch").await.0, "0124");
    let (mut seen, mut after) = (String::new(), String::new());
    loop {
        let (page, last, has_more) = names(&format!("limit=2{after}")).await;
        seen.push_str(&page);
        after = format!("&after={}", last.unwrap());
        if !has_more {
            break;
        }
    }
    assert_eq!(seen, "43210");
    Ok(())
}

#[tokio::test]
async fn a_download_comes_in_pieces_without_a_length_and_can_break_in_the_middle() -> Result {
    let simulator = Simulator::new();
    let content: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let file = upload("a.bin", content.clone(), FilePurpose::UserData);
    let file = simulator.client().files().create(file).await?;
    let server = simulator.serve().await?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    let url = format!("{}/files/{}/content", server.base_url(), file.id);
    let answer = http.get(&url).bearer_auth("k").send().await?;
    assert_eq!(answer.content_length(), None);
    assert!(answer.bytes().await? == content);
    simulator.inject(Fault::cut_stream_after(2));
    let mut broken = http.get(&url).bearer_auth("k").send().await?;
    let mut got = 0;
    while let Ok(Some(piece)) = broken.chunk().await {
        got += piece.len();
    }
    assert_eq!(got, 2 * (64 << 10));
    Ok(())
}
